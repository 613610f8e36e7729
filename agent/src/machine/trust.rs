//! How the agent, as a client of what runs on its machine, checks a server's certificate and shows its own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use usher_common::tls::AnyCertificate;

use crate::config::{ClientCertificate, Trust};

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used: {reason}")]
pub(crate) struct Unusable {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// Why there is no TLS client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The CAs of the server.
    #[error("the CA {0}")]
    Ca(Unusable),
    /// The certificate or the key that the agent shows.
    #[error("the agent's own {0}")]
    Own(Unusable),
}

/// A TLS client for one question. It reads the files each time: they may have been renewed with the server's certificate.
pub(super) fn client_config(trust: &Trust, own: Option<&ClientCertificate>) -> Result<Arc<ClientConfig>, TrustError> {
    let builder = ClientConfig::builder();
    let builder = match trust {
        Trust::Ca(path) => builder.with_root_certificates(roots(path)?),
        Trust::Nobody => {
            // The configuration allows this only on loopback, where there is no man in the middle.
            let verifier = Arc::new(AnyCertificate::new(Arc::new(ring::default_provider())));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let Some(ClientCertificate { certificate, key }) = own else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let bad = |path: &Path, reason: String| TrustError::Own(Unusable { path: path.to_owned(), reason });
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| bad(certificate, error.to_string()))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let config = builder.with_client_auth_cert(chain, secret).map_err(|error| bad(certificate, error.to_string()))?;
    Ok(Arc::new(config))
}

fn roots(path: &Path) -> Result<RootCertStore, TrustError> {
    let bad = |reason: String| TrustError::Ca(Unusable { path: path.to_owned(), reason });
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))? {
        let ca = ca.map_err(|error| bad(error.to_string()))?;
        roots.add(ca).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() { Err(bad("it holds no certificate".to_owned())) } else { Ok(roots) }
}
