//! A certificate authority to be thrown away, and what it signs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};

use crate::hexadecimal;

/// A certificate with its key, both as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Identity {
    /// Writes `NAME.pem` and, for its owner alone, `NAME-key.pem` into a folder, and tells their paths.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}-key.pem")));
        fs::write(&certificate, &self.certificate)?;
        fs::write(&key, &self.key)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        Ok((certificate, key))
    }
}

/// The names that a certificate is to carry.
#[derive(Debug, Clone, Default)]
pub struct Names<'a> {
    /// Common name, none if empty.
    pub common_name: &'a str,
    /// Organisations.
    pub organisations: &'a [&'a str],
    /// DNS names; those that are IP addresses become such.
    pub dns: &'a [&'a str],
    /// URIs.
    pub uris: &'a [&'a str],
}

/// A certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    /// A new one.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&Names { common_name: name, ..Names::default() });
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes its own certificate into a file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::write(path, &self.pem)?)
    }

    /// A server's certificate for these DNS names and addresses. Clients may not use it.
    ///
    /// # Errors
    ///
    /// If a name cannot be one.
    pub fn server(&self, dns: &[&str]) -> anyhow::Result<Identity> {
        let common_name = dns.first().copied().unwrap_or_default();
        self.issue(&Names { common_name, dns, ..Names::default() }, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a server that is a client of others like it, as a member of etcd is.
    ///
    /// # Errors
    ///
    /// If a name cannot be one.
    pub fn peer(&self, dns: &[&str]) -> anyhow::Result<Identity> {
        let names = Names { common_name: dns.first().copied().unwrap_or_default(), dns, ..Names::default() };
        self.issue_with(&names, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        })
    }

    /// A client's certificate with these names. Servers may not use it.
    ///
    /// # Errors
    ///
    /// If a name cannot be one.
    pub fn client(&self, names: &Names<'_>) -> anyhow::Result<Identity> {
        self.issue(names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A server's certificate for one DNS name with something changed: its usages, its validity.
    ///
    /// # Errors
    ///
    /// If the name cannot be one.
    pub fn server_with(&self, dns: &str, change: impl FnOnce(&mut CertificateParams)) -> anyhow::Result<Identity> {
        let names = Names { common_name: dns, dns: &[dns], ..Names::default() };
        self.issue_with(&names, ExtendedKeyUsagePurpose::ServerAuth, change)
    }

    /// A client's certificate with something changed: its validity.
    ///
    /// # Errors
    ///
    /// If a name cannot be one.
    pub fn client_with(
        &self,
        names: &Names<'_>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> anyhow::Result<Identity> {
        self.issue_with(names, ExtendedKeyUsagePurpose::ClientAuth, change)
    }

    /// A revocation list of the certificates with these serial numbers, in hexadecimal, as PEM.
    ///
    /// # Errors
    ///
    /// If a serial number is none.
    pub fn revoke(&self, serials: &[&str]) -> anyhow::Result<String> {
        let mut revoked_certs = Vec::new();
        for serial in serials {
            revoked_certs.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&hexadecimal::bytes(serial)?),
                revocation_time: date_time_ymd(2025, 1, 1),
                reason_code: None,
                invalidity_date: None,
            });
        }
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2099, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    fn issue(&self, names: &Names<'_>, usage: ExtendedKeyUsagePurpose) -> anyhow::Result<Identity> {
        self.issue_with(names, usage, |_| {})
    }

    fn issue_with(
        &self,
        names: &Names<'_>,
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(names);
        for name in names.dns {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into()?),
            });
        }
        for uri in names.uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into()?));
        }
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn subject(names: &Names<'_>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if !names.common_name.is_empty() {
        subject.push(DnType::CommonName, names.common_name);
    }
    for organisation in names.organisations {
        subject.push(DnType::OrganizationName, *organisation);
    }
    subject
}
