//! Who we are to the agents, and whom we believe to be one.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use rustls::{CipherSuite, ClientConfig, RootCertStore, client::Resumption, crypto::ring};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use usher_common::clock;
use usher_core::doctor::CertificateFacts;
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use super::AgentError;
use crate::site::AgentAccess;

/// gRPC is HTTP/2, and agents insist on its being negotiated.
const HTTP_2: &[u8] = b"h2";

/// The bit of a file's mode that lets every user read it.
const READABLE_BY_ALL: u32 = 0o004;

/// A file that was written no longer ago than this may be written again without another time of change: kernels stamp files by a
/// clock that ticks every few milliseconds, some file systems by the second.
const STILL_WARM: SignedDuration = SignedDuration::from_secs(2);

/// The client's certificate, its key, and the CA of the agents.
#[derive(Debug)]
pub(super) struct Trust {
    files: Files,
    read: Mutex<Read>,
}

/// What the files said, and which files these were.
#[derive(Debug)]
struct Read {
    current: Current,
    /// None if they must be read again in any case.
    stamps: Option<[Stamp; 3]>,
}

/// What tells a file from another one, and from itself after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds of the last change.
    changed: (i64, i64),
}

#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

/// What the files said when they were last read.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) tls: Arc<ClientConfig>,
    /// The subject of our certificate, as `CN=cumin1001`.
    pub(super) subject: String,
}

impl Trust {
    pub(super) fn read(access: &AgentAccess) -> Result<Self, AgentError> {
        let files = Files { certificate: access.certificate.clone(), key: access.key.clone(), ca: access.ca.clone() };
        let read = Mutex::new(Read::of(&files)?);
        Ok(Self { files, read })
    }

    /// For a new connection. Files that have changed are read again, since certificates are renewed while a roll of many nodes
    /// runs; while they are broken, what they said before is used.
    pub(super) fn current(&self) -> Current {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.stamps.is_none() || read.stamps != self.files.stamps() {
            match Read::of(&self.files) {
                Ok(new) => *read = new,
                Err(error) => {
                    tracing::warn!(error = usher_common::chain(&error), "keeping the certificates read before");
                }
            }
        }
        read.current.clone()
    }
}

impl Read {
    fn of(files: &Files) -> Result<Self, AgentError> {
        // Looked at first: a change while they are read is then seen at the next connection.
        let stamps = files.stamps().filter(|stamps| !stamps.iter().any(Stamp::is_warm));
        Ok(Self { current: files.read()?, stamps })
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        let changed = (file.mtime(), file.mtime_nsec());
        Some(Self { device: file.dev(), inode: file.ino(), length: file.len(), changed })
    }

    fn is_warm(&self) -> bool {
        let changed = Timestamp::from_second(self.changed.0).unwrap_or(Timestamp::MAX);
        clock::now().duration_since(changed) < STILL_WARM
    }
}

impl Files {
    /// None if one of them cannot be looked at.
    fn stamps(&self) -> Option<[Stamp; 3]> {
        Some([Stamp::of(&self.certificate)?, Stamp::of(&self.key)?, Stamp::of(&self.ca)?])
    }

    fn read(&self) -> Result<Current, AgentError> {
        let chain: Vec<CertificateDer<'static>> =
            certificates("the client certificate", "certificate", &self.certificate)?;
        let subject = chain.first().map(subject).unwrap_or_default();
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unusable("the client key", "key", &self.key, error))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates("the agents' CA", "ca", &self.ca)? {
            roots.add(authority).map_err(|error| unusable("the agents' CA", "ca", &self.ca, error))?;
        }
        // The provider is named, so that no other crate's choice of a default matters.
        let mut provider = ring::default_provider();
        // SHA-256 before SHA-384: processors have instructions for it, and thousands of handshakes hash a lot. Both are as good.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let mut tls = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_root_certificates(roots).with_client_auth_cert(chain, key))
            .map_err(|error| unusable("the client certificate", "certificate", &self.certificate, error))?;
        tls.alpn_protocols.push(HTTP_2.to_vec());
        // Agents resume no session: each connection proves anew who calls.
        tls.resumption = Resumption::disabled();
        Ok(Current { tls: Arc::new(tls), subject })
    }
}

/// The certificate that usher shows to agents, as it is on disk.
///
/// # Errors
///
/// [`AgentError::Config`] if the certificate, its key or the agents' CA cannot be used.
pub fn own_certificate(access: &AgentAccess) -> Result<CertificateFacts, AgentError> {
    // All three must fit together.
    Trust::read(access)?;
    let path = &access.certificate;
    let chain = certificates("the client certificate", "certificate", path)?;
    let unusable = |error| unusable("the client certificate", "certificate", path, error);
    let der = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| unusable(error.to_owned()))?;
    let time = |time: ASN1Time| Timestamp::from_second(time.timestamp()).unwrap_or_default();
    let mode = std::fs::metadata(&access.key).map(|file| file.permissions().mode()).unwrap_or_default();
    Ok(CertificateFacts {
        path: path.display().to_string(),
        subject: certificate.subject().to_string(),
        not_before: time(certificate.validity().not_before),
        not_after: time(certificate.validity().not_after),
        key_path: access.key.display().to_string(),
        key_is_public: mode & READABLE_BY_ALL != 0,
    })
}

fn certificates(what: &str, key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, AgentError> {
    let read = || -> Result<Vec<_>, pem::Error> {
        let certificates = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(certificates) }
    };
    read().map_err(|error| unusable(what, key, path, error))
}

fn subject(certificate: &CertificateDer<'_>) -> String {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => certificate.subject().to_string(),
        Err(_) => String::new(),
    }
}

fn unusable(what: &str, key: &str, path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> AgentError {
    AgentError::Config {
        problem: format!("cannot use {what} in {}", path.display()),
        advice: Some(format!("agents.{key} in the cluster file names it.")),
        source: Some(Box::new(error)),
    }
}
