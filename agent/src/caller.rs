//! The authenticated caller: the names in a peer's certificate.

use std::{fmt, sync::Arc};

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// An authenticated peer. Clones share the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    names: Arc<[String]>,
}

/// TLS accepted the certificate, but its names cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be read: {0}")]
pub struct UnreadableCertificate(String);

impl Caller {
    /// A caller with these names, in the notation of the allow-list (`CN=alice`). For a door without certificates.
    pub fn named<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
    }

    /// The caller that presented a certificate, which TLS has verified already.
    ///
    /// # Errors
    ///
    /// If the certificate is not well-formed.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, UnreadableCertificate> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(unreadable)?;
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
        Ok(Self { names: names.into() })
    }

    /// The names in the notation of the allow-list: `CN=…`, `O=…`, `DNS:…`, `URI:…`.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            f.write_str("a certificate without names")
        } else {
            f.write_str(&self.names.join(", "))
        }
    }
}

fn unreadable(error: impl fmt::Display) -> UnreadableCertificate {
    UnreadableCertificate(error.to_string())
}
