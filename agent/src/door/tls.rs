//! The agent's side of mutual TLS: its certificate and key, the CAs of its callers and their revocation lists, from PEM files.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use rustls::{
    RootCertStore, ServerConfig,
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime,
    pem::{self, PemObject},
};
use usher_common::chain;

use crate::{certificate::Certificate, config::TlsFiles};

/// What a handshake needs.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// With mandatory client certificates, HTTP/2 only, and no session resumption.
    pub(super) server: Arc<ServerConfig>,
    pub(super) callers: Callers,
    pub(super) own: Own,
}

/// Verifies callers, in handshakes and again when the CAs or their revocation lists have changed.
#[derive(Debug, Clone)]
pub(super) struct Callers(Arc<dyn ClientCertVerifier>);

/// The agent's certificate, with its chain and key.
#[derive(Debug, Clone)]
pub(super) struct Own {
    key: Arc<CertifiedKey>,
    certificate: Certificate,
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
    /// A PEM file without a revocation list.
    #[error("{0} holds no revocation list")]
    NoRevocationList(PathBuf),
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

/// What is wrong with the agent's own certificate: callers would not accept it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its validity is over.
    #[error("it expired at {0}; renew it")]
    Expired(Timestamp),
    /// Its validity has not begun.
    #[error("it is not valid before {0}; compare the clocks of this machine and of the CA")]
    NotYetValid(Timestamp),
    /// Its extended key usage lacks serverAuth.
    #[error("it is not for servers: its extended key usage lacks serverAuth. Does the CA use its profile for servers?")]
    NotForServers,
    /// It lacks the name under which the agent is called.
    #[error(
        "it carries the DNS names {carried:?}, and not {wanted}, under which usher calls this agent (tls.server_name)"
    )]
    OtherName {
        /// The names that it carries.
        carried: Vec<String>,
        /// The one that it should carry.
        wanted: String,
    },
}

impl Credentials {
    /// Reads the PEM files.
    ///
    /// # Errors
    ///
    /// If a file is missing or broken, or the certificate does not match the key. A certificate that callers would not accept is
    /// no error: see [`Unfit`].
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Self::of(Callers::load(files)?, Own::load(files)?)
    }

    pub(super) fn of(callers: Callers, own: Own) -> Result<Self, TlsError> {
        let mut server = ServerConfig::builder()
            .with_client_cert_verifier(Arc::clone(&callers.0))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own.key))));
        server.alpn_protocols = vec![b"h2".to_vec()];
        // No resumption: each connection proves its certificate against the current CAs, and no sessions stay in memory.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { server: Arc::new(server), callers, own })
    }

    /// Why the agent has no certificate to show, or none that callers would accept at `now`, in a sentence. `node` is the node's
    /// name.
    pub(crate) fn own_problem(files: &TlsFiles, node: &str, now: Timestamp) -> Option<String> {
        let own = match Own::load(files) {
            Ok(own) => own,
            Err(error) => return Some(chain(&error)),
        };
        let unfit = own.unfit(files, node, now)?;
        Some(format!("callers would not accept {}: {unfit}", files.certificate.display()))
    }

    /// Why no caller can be verified, in a sentence.
    pub(crate) fn callers_problem(files: &TlsFiles) -> Option<String> {
        Callers::load(files).err().map(|error| chain(&error))
    }
}

impl Callers {
    pub(super) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for ca in certificates(&files.client_ca)? {
            roots.add(ca).map_err(|source| TlsError::Ca { path: files.client_ca.clone(), source })?;
        }
        let mut verifier = WebPkiClientVerifier::builder(roots.into());
        if let Some(path) = &files.client_crl {
            // Of several CAs, one may have no list.
            verifier = verifier.with_crls(revocation_lists(path)?).allow_unknown_revocation_status();
        }
        Ok(Self(verifier.build()?))
    }

    /// Whether a caller's chain, the end entity first, would pass a handshake at `now`.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap_or_default()));
        chain.split_first().is_some_and(|(leaf, rest)| self.0.verify_client_cert(leaf, rest, now).is_ok())
    }
}

impl Own {
    pub(super) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let chain = certificates(&files.certificate)?;
        let certificate = chain.first().ok_or_else(|| TlsError::Empty(files.certificate.clone()))?;
        let certificate = Certificate::parse(certificate)
            .map_err(|error| TlsError::Certificate { path: files.certificate.clone(), reason: error.to_string() })?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|source| TlsError::Pem { path: files.key.clone(), source })?;
        let key = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())?;
        Ok(Self { key: Arc::new(key), certificate })
    }

    /// When the agent's certificate expires.
    pub(super) fn not_after(&self) -> Timestamp {
        self.certificate.not_after
    }

    /// Why callers would not accept the agent's certificate at `now`, if they would not. `node` is the node's name.
    pub(super) fn unfit(&self, files: &TlsFiles, node: &str, now: Timestamp) -> Option<Unfit> {
        let certificate = &self.certificate;
        if certificate.not_after <= now {
            return Some(Unfit::Expired(certificate.not_after));
        }
        if certificate.not_before > now {
            return Some(Unfit::NotYetValid(certificate.not_before));
        }
        if !certificate.is_for_servers {
            return Some(Unfit::NotForServers);
        }
        let fits = |name: &str| match &files.server_name {
            Some(wanted) => covers(name, wanted),
            None => name == node || name.strip_prefix(node).is_some_and(|domain| domain.starts_with('.')),
        };
        if certificate.dns_names().any(fits) {
            return None;
        }
        let carried = certificate.dns_names().map(str::to_owned).collect();
        Some(Unfit::OtherName { carried, wanted: files.server_name.clone().unwrap_or_else(|| node.to_owned()) })
    }
}

/// Whether a DNS name in a certificate stands for `wanted`: it is the same, or a wildcard for its first label.
fn covers(name: &str, wanted: &str) -> bool {
    let wildcard = || Some(name.strip_prefix("*.")? == wanted.split_once('.')?.1);
    name == wanted || wildcard().unwrap_or(false)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = read::<CertificateDer<'static>>(path)?;
    if certificates.is_empty() { Err(TlsError::Empty(path.clone())) } else { Ok(certificates) }
}

fn revocation_lists(path: &PathBuf) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists = read::<CertificateRevocationListDer<'static>>(path)?;
    if lists.is_empty() { Err(TlsError::NoRevocationList(path.clone())) } else { Ok(lists) }
}

fn read<T: PemObject>(path: &PathBuf) -> Result<Vec<T>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.clone(), source };
    T::pem_file_iter(path).map_err(pem)?.collect::<Result<Vec<_>, _>>().map_err(pem)
}
