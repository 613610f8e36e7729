//! What a certificate says: its names, how long it is valid, and what tells it from every other one.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// The SHA-256 of a certificate's DER form, as `openssl x509 -fingerprint -sha256` prints it. Displayed as 64 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(der: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, der).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no SHA-256.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")]
pub struct BadFingerprint(String);

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let bad = || BadFingerprint(text.to_owned());
        let digits: String = text.chars().filter(|character| *character != ':').collect();
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

/// A parsed certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Tells it from every other certificate, its successor with the same names included.
    pub fingerprint: Fingerprint,
    /// The serial number in lower-case hexadecimal, as the CA's list of issued certificates has it.
    pub serial: String,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The beginning of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Its names in the notation of the allow-list: `CN=…`, `O=…`, `DNS:…`, `URI:…`.
    pub names: Vec<String>,
    /// Whether a server may use it: it has no extended key usage at all, or one that includes serverAuth.
    pub is_for_servers: bool,
}

/// A certificate that cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be read: {0}")]
pub struct UnreadableCertificate(String);

impl Certificate {
    /// Parses a certificate. It verifies nothing.
    ///
    /// # Errors
    ///
    /// If the certificate is not well-formed.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Self, UnreadableCertificate> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(unreadable)?;
        let usage = parsed.extended_key_usage().map_err(unreadable)?;
        let validity = parsed.validity();
        let time = |seconds: i64| Timestamp::from_second(seconds).map_err(unreadable);
        Ok(Self {
            fingerprint: Fingerprint::of(der),
            serial: parsed.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            issuer: parsed.issuer().to_string(),
            not_before: time(validity.not_before.timestamp())?,
            not_after: time(validity.not_after.timestamp())?,
            names: names(&parsed)?,
            is_for_servers: usage.is_none_or(|usage| usage.value.server_auth || usage.value.any),
        })
    }

    /// The DNS names, without their prefix.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| name.strip_prefix("DNS:"))
    }
}

fn names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, UnreadableCertificate> {
    let subject = certificate.subject();
    let mut names = Vec::new();
    names.extend(subject.iter_common_name().filter_map(|name| Some(format!("CN={}", name.as_str().ok()?))));
    names.extend(subject.iter_organization().filter_map(|name| Some(format!("O={}", name.as_str().ok()?))));
    if let Some(alternatives) = certificate.subject_alternative_name().map_err(unreadable)? {
        names.extend(alternatives.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
            GeneralName::URI(uri) => Some(format!("URI:{uri}")),
            _ => None,
        }));
    }
    Ok(names)
}

fn unreadable(error: impl fmt::Display) -> UnreadableCertificate {
    UnreadableCertificate(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_openssl_prints_it_and_written_without_colons() {
        let pairs = vec!["AB"; 32];
        let with_colons: Fingerprint = pairs.join(":").parse().unwrap();
        assert_eq!(with_colons.to_string(), "ab".repeat(32));
        assert_eq!("ab".repeat(32).parse(), Ok(with_colons));
        for text in ["", "ab", &"xy".repeat(32), &"ab".repeat(33)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint((*text).to_owned())));
        }
    }
}
