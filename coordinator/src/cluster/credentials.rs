//! Who calls: a token, a certificate or what a plugin gives, for all clients of one cluster together.
//!
//! What ends while usher works is renewed without a request that fails for it: files are read again when they change, a plugin runs
//! before its credential ends. A 401 renews once; after that the credentials have ended.

mod client;
mod exec_plugin;
mod issued;
mod kept;
mod renewal;
mod wire;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::FutureExt as _;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub(super) use self::{
    client::{ClientError, Clients},
    exec_plugin::{Plugin, PluginError},
    issued::Issued,
    kept::{FileError, Part, Parts},
};
use self::{kept::Kept, renewal::Renewal};
use usher_common::clock;

/// A request could not be made because of who calls.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum CredentialsError {
    /// The server took them before, or they say themselves that they have ended.
    #[error("your credentials have ended: the server refused {what}")]
    Ended {
        /// Which, and where they come from.
        what: String,
    },
    /// The server never took them.
    #[error("the server does not know you: it refused {what}")]
    Unknown {
        /// As in [`Self::Ended`].
        what: String,
    },
    /// A credential plugin failed.
    #[error("the credential plugin {program} gave no credentials: {problem}")]
    Plugin {
        /// The program's name or path.
        program: String,
        problem: String,
        /// What it said, or how to install it.
        details: Vec<String>,
        /// It gave some before, so it may again: the network is away, as the API may be.
        may_pass: bool,
    },
    /// A file of credentials cannot be used.
    #[error("{problem}")]
    File {
        /// Names the file.
        problem: String,
    },
}

impl CredentialsError {
    /// Whether the same request may succeed later without anybody's doing.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Plugin { may_pass: true, .. })
    }

    /// What a plugin said.
    pub fn details(&self) -> &[String] {
        match self {
            Self::Plugin { details, .. } => details,
            _ => &[],
        }
    }
}

/// The credentials of one cluster's clients.
pub(super) struct Credentials {
    source: Source,
    /// What they are, as words.
    what: String,
    /// A server took them, or answered without asking for any.
    taken: AtomicBool,
}

enum Source {
    Kept(Kept),
    Plugin { program: String, renewal: Renewal },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("what", &self.what).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those that a kubeconfig or a flag holds or names. `again` reads them from the kubeconfig once more.
    pub(super) fn kept(
        what: String,
        parts: Parts,
        again: impl Fn() -> Option<Parts> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { source: Source::Kept(Kept::new(parts, again)), what, taken: AtomicBool::new(false) })
    }

    /// Those that a plugin gives.
    pub(super) fn of_plugin(plugin: Plugin) -> Arc<Self> {
        let program = plugin.program().to_owned();
        let plugin = Arc::new(plugin);
        let renewal = Renewal::of(move || {
            let plugin = Arc::clone(&plugin);
            async move { plugin.run().await }.boxed()
        });
        let what = format!("what the credential plugin {program} gave");
        Arc::new(Self { source: Source::Plugin { program, renewal }, what, taken: AtomicBool::new(false) })
    }

    /// What a request carries now, if no plugin has to be asked for it.
    fn at_hand(&self) -> Result<Option<Issued>, CredentialsError> {
        match &self.source {
            Source::Kept(kept) => Ok(Some(kept.current()?)),
            Source::Plugin { .. } => Ok(None),
        }
    }

    /// What a request carries now. Waits for a plugin if it must.
    async fn current(&self) -> Result<Issued, CredentialsError> {
        match &self.source {
            Source::Kept(kept) => kept.current().map_err(CredentialsError::from),
            Source::Plugin { renewal, .. } => renewal.current().await.map_err(|error| self.plugin_failed(error)),
        }
    }

    /// What a request carries after the server has refused this; None if there is nothing newer.
    async fn after_refusal(&self, refused: &Issued) -> Result<Option<Issued>, CredentialsError> {
        match &self.source {
            Source::Kept(kept) => kept.after_refusal(refused).map_err(CredentialsError::from),
            Source::Plugin { renewal, .. } => {
                renewal.after_refusal(refused).await.map_err(|error| self.plugin_failed(error))
            }
        }
    }

    /// Gets the first ones now, so that no time limit of a request runs while a plugin asks the operator. A failure is told by the
    /// first request.
    pub(super) async fn prepare(&self) {
        let _ = self.current().await;
    }

    /// Waits while a plugin runs for somebody.
    pub(super) async fn settled(&self) {
        if let Source::Plugin { renewal, .. } = &self.source {
            renewal.settled().await;
        }
    }

    /// Whether requests may be waiting for a plugin.
    pub(super) fn is_renewing(&self) -> bool {
        matches!(&self.source, Source::Plugin { renewal, .. } if renewal.is_running())
    }

    fn were_taken(&self) {
        self.taken.store(true, Ordering::Relaxed);
    }

    /// The error after the last refusal.
    fn refused(&self, issued: &Issued) -> CredentialsError {
        let end = issued.proof.expires.or_else(|| not_after(issued.proof.pair.as_ref()?.certificate()));
        let mut what = self.what.clone();
        if issued.proof.header().is_none() && issued.proof.pair.is_none() {
            "a request without credentials".clone_into(&mut what);
        } else if let Some(end) = end {
            what = format!("{what}, valid until {}", end.strftime("%Y-%m-%d %H:%M:%SZ"));
        }
        match self.taken.load(Ordering::Relaxed) || end.is_some_and(|end| end <= clock::now()) {
            true => CredentialsError::Ended { what },
            false => CredentialsError::Unknown { what },
        }
    }

    fn plugin_failed(&self, error: PluginError) -> CredentialsError {
        let Source::Plugin { program, renewal } = &self.source else {
            return CredentialsError::File { problem: error.to_string() };
        };
        CredentialsError::Plugin {
            program: program.clone(),
            problem: error.to_string(),
            details: error.details,
            may_pass: renewal.has_held(),
        }
    }
}

impl From<FileError> for CredentialsError {
    fn from(error: FileError) -> Self {
        Self::File { problem: error.to_string() }
    }
}

/// When the first certificate of a PEM chain ends.
fn not_after(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}
