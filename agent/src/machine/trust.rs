//! How the agent, as a client of what runs on its machine, checks a server's certificate and shows its own.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
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

/// Files that the disk did not give in time.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Silent {
    pub(super) paths: Vec<PathBuf>,
    pub(super) within: Duration,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let (paths, within) = (paths.join(", "), self.within);
        write!(
            f,
            "the disk does not answer: reading {paths} takes longer than {within:?}; check the file system they are on"
        )
    }
}

/// Why the agent cannot check a server, or show itself to one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The CAs of the server.
    #[error("the CA {0}")]
    Ca(Unusable),
    /// The certificate, the key or the token that the agent shows.
    #[error("the agent's own {0}")]
    Own(Unusable),
    /// The disk does not give the files.
    #[error(transparent)]
    Silent(Silent),
}

/// A TLS client for one question, from files. It blocks while the disk does.
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

/// The value of `Authorization` for the token on a file's first line. It blocks while the disk does.
#[allow(clippy::disallowed_methods)] // as certificates, the token is always the machine's
pub(super) fn bearer(path: &Path) -> Result<HeaderValue, TrustError> {
    let bad = |reason: String| TrustError::Own(Unusable { path: path.to_owned(), reason });
    let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.is_empty() {
        return Err(bad("its first line is empty".to_owned()));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| bad(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}
