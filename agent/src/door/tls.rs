//! The agent's side of mutual TLS: its certificate and key, and the CAs of its callers, from PEM files.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use rustls::{
    RootCertStore, ServerConfig,
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::TlsFiles;

/// What a handshake needs, from one reading of the files.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// With mandatory client certificates, HTTP/2 only, and no session resumption.
    pub server: Arc<ServerConfig>,
    /// When the agent's certificate expires.
    pub not_after: Timestamp,
}

/// Why the files give no credentials.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or not PEM.
    #[error("cannot read {path}")]
    Pem {
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A PEM file without a certificate.
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    /// A CA that cannot sign, or is malformed.
    #[error("{path} holds a CA that cannot be used")]
    Ca {
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The CAs cannot verify callers.
    #[error("the CAs of callers cannot be used")]
    Verifier(#[from] VerifierBuilderError),
    /// The certificate does not belong to the key, or one of them cannot be used.
    #[error("certificate and key do not go together")]
    Pair(#[from] rustls::Error),
    /// The certificate is malformed.
    #[error("{path} holds a certificate that cannot be read: {reason}")]
    Certificate {
        path: PathBuf,
        /// The parser's message.
        reason: String,
    },
}

impl Credentials {
    /// Reads the PEM files.
    ///
    /// # Errors
    ///
    /// If a file is missing or broken, or the certificate does not match the key. An expired certificate is no error: see
    /// [`Credentials::expired`].
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for ca in certificates(&files.client_ca)? {
            roots.add(ca).map_err(|source| TlsError::Ca { path: files.client_ca.clone(), source })?;
        }
        let chain = certificates(&files.certificate)?;
        let not_after = not_after(&chain).map_err(|reason| {
            let path = files.certificate.clone();
            TlsError::Certificate { path, reason }
        })?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|source| TlsError::Pem { path: files.key.clone(), source })?;
        let mut server = ServerConfig::builder()
            .with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build()?)
            .with_single_cert(chain, key)?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        // No resumption: each connection proves its certificate against the current CAs, and no sessions stay in memory.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { server: Arc::new(server), not_after })
    }

    /// Whether the agent's own certificate has expired at `now`, so that no caller will accept it.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.not_after <= now
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.clone(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<Vec<_>, _>>().map_err(pem)?;
    if certificates.is_empty() { Err(TlsError::Empty(path.clone())) } else { Ok(certificates) }
}

fn not_after(chain: &[CertificateDer<'_>]) -> Result<Timestamp, String> {
    let leaf = chain.first().ok_or("no certificate")?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    Timestamp::from_second(leaf.validity().not_after.timestamp()).map_err(|error| error.to_string())
}
