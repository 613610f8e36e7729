//! The authority: made, read back, and what it signs.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use super::{CertificateError, Subject};

/// How long an authority is valid: ten years, leap days aside.
const LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// A certificate is valid from a little before it was made: the clock of the machine that reads it may be behind.
const CLOCKS_DIFFER_BY: SignedDuration = SignedDuration::from_mins(5);

/// Bytes of a random serial number; RFC 5280 allows 20.
const SERIAL_BYTES: usize = 16;

/// A certificate as PEM, with its key where that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub certificate: String,
    /// None if it was renewed: the key stays.
    pub key: Option<String>,
    pub not_after: Timestamp,
}

/// A certificate authority with its key.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its subject, as certificates name their issuer.
    subject: String,
    not_after: Timestamp,
}

impl Authority {
    /// A new one of this name, and its files.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn create(name: &str, now: Timestamp) -> Result<Issued, CertificateError> {
        let failed = |source| CertificateError::Crypto { what: "an authority", source };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = params(now, now + LIFE);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Issued { certificate: certificate.pem(), key: Some(key.serialize_pem()), not_after: now + LIFE })
    }

    /// An authority from its files, which are named in errors.
    ///
    /// # Errors
    ///
    /// If one of them is none, or they do not belong together.
    pub fn read((certificate, path): (&str, &str), (key, key_path): (&str, &str)) -> Result<Self, CertificateError> {
        let what = "the authority's certificate";
        let unusable = |problem: String| CertificateError::Unusable { what, path: path.to_owned(), problem };
        let key = KeyPair::from_pem(key).map_err(|error| CertificateError::Unusable {
            what: "the authority's key",
            path: key_path.to_owned(),
            problem: error.to_string(),
        })?;
        let der =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| unusable(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(unusable("it is no authority's".to_owned()));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(unusable(format!("it does not belong to the key in {key_path}")));
        }
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap_or_default();
        let subject = parsed.subject().to_string();
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { issuer, subject, not_after })
    }

    /// A new certificate with a new key. It ends with the authority at the latest.
    ///
    /// # Errors
    ///
    /// If the authority has expired, or the system has no randomness.
    pub fn issue(&self, subject: &Subject, life: Duration, now: Timestamp) -> Result<Issued, CertificateError> {
        let failed = |source| CertificateError::Crypto { what: "a certificate", source };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let not_after = self.until(life, now)?;
        let mut params = params(now, not_after);
        params.distinguished_name.push(DnType::CommonName, subject.name());
        match subject {
            Subject::Agent { node, addresses } => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                for name in std::iter::once(node).chain(addresses) {
                    params.subject_alt_names.push(alternative(name).map_err(failed)?);
                }
            }
            Subject::Caller { .. } => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        }
        let certificate = sign(params, &key, &self.issuer).map_err(failed)?;
        Ok(Issued { certificate, key: Some(key.serialize_pem()), not_after })
    }

    /// The certificate anew, with the same names, usages and key, so that its key need not travel again.
    ///
    /// # Errors
    ///
    /// If it is no certificate of this authority, or the authority has expired.
    pub fn renew(
        &self,
        certificate: &str,
        path: &str,
        life: Duration,
        now: Timestamp,
    ) -> Result<Issued, CertificateError> {
        let unusable =
            |problem: String| CertificateError::Unusable { what: "a certificate", path: path.to_owned(), problem };
        let failed = |source| CertificateError::Crypto { what: "a certificate", source };
        let der =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        let (_, old) = X509Certificate::from_der(&der).map_err(|error| unusable(error.to_string()))?;
        let issuer = old.issuer().to_string();
        if issuer != self.subject {
            return Err(CertificateError::Foreign { path: path.to_owned(), issuer });
        }
        if old.is_ca() {
            return Err(unusable(
                "an authority is not renewed: make another one, and trust both for a while".to_owned(),
            ));
        }
        let not_after = self.until(life, now)?;
        let mut params = params(now, not_after);
        params.distinguished_name = subject_of(&old);
        for extension in old.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => {
                    for name in &names.general_names {
                        params.subject_alt_names.extend(kept(name).map_err(failed)?);
                    }
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    params.extended_key_usages.extend(usage.server_auth.then_some(ExtendedKeyUsagePurpose::ServerAuth));
                    params.extended_key_usages.extend(usage.client_auth.then_some(ExtendedKeyUsagePurpose::ClientAuth));
                }
                _ => {}
            }
        }
        let key = SubjectPublicKeyInfo::from_der(old.public_key().raw).map_err(failed)?;
        let certificate = sign(params, &key, &self.issuer).map_err(failed)?;
        Ok(Issued { certificate, key: None, not_after })
    }

    /// The end of a certificate with this life.
    fn until(&self, life: Duration, now: Timestamp) -> Result<Timestamp, CertificateError> {
        if self.not_after <= now {
            return Err(CertificateError::Expired { on: self.not_after.strftime("%Y-%m-%d").to_string() });
        }
        Ok(now.checked_add(life).map_or(self.not_after, |until| until.min(self.not_after)))
    }
}

/// What all certificates have in common.
fn params(now: Timestamp, not_after: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = SystemTime::from(now - CLOCKS_DIFFER_BY).into();
    params.not_after = SystemTime::from(not_after).into();
    // Never that of another certificate: a revocation list goes by it. Made of the key, a renewed one would have the old.
    let mut serial = [0; SERIAL_BYTES];
    fastrand::fill(&mut serial);
    // A positive number with no zeros in front.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn sign(
    mut params: CertificateParams,
    key: &impl PublicKeyData,
    issuer: &Issuer<'static, KeyPair>,
) -> Result<String, rcgen::Error> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params.signed_by(key, issuer)?.pem())
}

fn alternative(name: &str) -> Result<SanType, rcgen::Error> {
    Ok(match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into()?),
    })
}

/// The subject of a certificate, as far as usher's own have one: names and organisations.
fn subject_of(certificate: &X509Certificate<'_>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    let text =
        |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().unwrap_or_default().to_owned();
    if let Some(name) = certificate.subject().iter_common_name().next() {
        subject.push(DnType::CommonName, text(name));
    }
    if let Some(organisation) = certificate.subject().iter_organization().next() {
        subject.push(DnType::OrganizationName, text(organisation));
    }
    subject
}

/// A name of a certificate, for its successor. Kinds that agents and callers do not use are left out.
fn kept(name: &GeneralName<'_>) -> Result<Option<SanType>, rcgen::Error> {
    Ok(match name {
        GeneralName::DNSName(name) => Some(SanType::DnsName((*name).try_into()?)),
        GeneralName::URI(uri) => Some(SanType::URI((*uri).try_into()?)),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(SanType::IpAddress)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
