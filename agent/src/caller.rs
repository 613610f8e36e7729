//! The authenticated caller: the names in a peer's certificate, and which certificate it is; or a user of the node.

use std::{fmt, sync::Arc};

use rustls_pki_types::CertificateDer;

use crate::certificate::{Certificate, UnreadableCertificate};

/// An authenticated peer. Clones share the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    names: Arc<[String]>,
    certificate: Option<Arc<Certificate>>,
}

impl Caller {
    /// A caller with these names, in the notation of the allow-list (`CN=alice`). For a door without certificates.
    pub fn named<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), certificate: None }
    }

    /// A user of the node on the agent's Unix socket. No entry of the allow-list can match its name.
    pub(crate) fn local(uid: u32) -> Self {
        Self::named([format!("UID={uid}")])
    }

    /// The caller that presented a certificate, which TLS has verified already.
    ///
    /// # Errors
    ///
    /// If the certificate is not well-formed.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, UnreadableCertificate> {
        let certificate = Certificate::parse(certificate)?;
        Ok(Self { names: certificate.names.clone().into(), certificate: Some(Arc::new(certificate)) })
    }

    /// The names in the notation of the allow-list: `CN=…`, `O=…`, `DNS:…`, `URI:…`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The certificate, `None` behind a door without certificates.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_deref()
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
