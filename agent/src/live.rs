//! What may change while the agent runs: certificates, the CAs of callers, and the allow-list.
//!
//! The files are read every few seconds and at SIGHUP, and compared by content: times would miss a file rewritten within
//! one tick of the clock, and would take a rewrite with the same text for a change. What cannot be used is told once in the
//! log and for as long as it lasts in the node's status; what was in force stays in force.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::{
    access::{AllowList, Role},
    config::Config,
    error_chain,
    tls::{Credentials, TlsError},
};

/// How often the files are looked at. Certificates are renewed hours before they expire; the allow-list is what somebody
/// waits for after editing it.
pub const LOOK_EVERY: Duration = Duration::from_secs(3);

/// The settings in force.
#[derive(Debug)]
pub struct Live {
    file: PathBuf,
    started_with: Config,
    /// `None` behind a door without TLS.
    credentials: Option<ArcSwap<Credentials>>,
    allow: ArcSwap<AllowList>,
    warnings: ArcSwap<Vec<String>>,
    /// A digest of the files from before they were read first: what changes from then on is a change.
    read_first: u64,
}

impl Live {
    /// Reads the PEM files that `config` names, if there is to be TLS. `file` is where `config` came from, to be looked at
    /// again.
    ///
    /// # Errors
    ///
    /// If the PEM files cannot be used: an agent does not start without credentials.
    pub fn new(file: PathBuf, config: Config, tls: bool) -> Result<Arc<Self>, TlsError> {
        let read_first = digest(&file, &config);
        let credentials = if tls { Some(Credentials::load(&config.tls)?) } else { None };
        Ok(Arc::new(Self {
            file,
            read_first,
            credentials: credentials.map(ArcSwap::from_pointee),
            allow: ArcSwap::from_pointee(config.allow.clone()),
            warnings: ArcSwap::default(),
            started_with: config,
        }))
    }

    /// For the next handshake. `None` behind a door without TLS.
    pub fn server(&self) -> Option<Arc<ServerConfig>> {
        Some(Arc::clone(&self.credentials.as_ref()?.load().server))
    }

    /// Until when the agent's certificate is valid. `None` behind a door without TLS.
    pub fn certificate_not_after(&self) -> Option<Timestamp> {
        Some(self.credentials.as_ref()?.load().not_after)
    }

    /// The role of a certificate with these names, and, if it has none, how many names are listed as viewer and operator.
    pub fn role(&self, names: &[String]) -> Result<Role, (usize, usize)> {
        let allow = self.allow.load();
        allow.role(names).ok_or_else(|| (allow.count(Role::Viewer), allow.count(Role::Operator)))
    }

    /// What is wrong with the files now, as sentences.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.load().as_ref().clone();
        if self.credentials.as_ref().is_some_and(|credentials| credentials.load().expired(Timestamp::now())) {
            let path = self.started_with.tls.certificate.display();
            warnings
                .push(format!("the agent's certificate {path} has expired; renew it, the agent picks it up by itself"));
        }
        if self.allow.load().is_empty() {
            warnings.push(format!("nobody is listed in [allow] of {}", self.file.display()));
        }
        warnings
    }

    /// Reads all files again, and puts in force what of them can be used.
    pub fn reload(&self) {
        let warnings: Vec<_> = [self.reload_credentials(), self.reload_allow_list()].into_iter().flatten().collect();
        let before = self.warnings.load();
        for warning in warnings.iter().filter(|warning| !before.contains(warning)) {
            warn!("{warning}");
        }
        self.warnings.store(Arc::new(warnings));
    }

    fn reload_credentials(&self) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        let files = &self.started_with.tls;
        let kept = |words: String| Some(format!("the TLS files on disk are not in use, the ones before stay: {words}"));
        match Credentials::load(files) {
            Ok(new) if new.expired(Timestamp::now()) => kept(format!("{} has expired", files.certificate.display())),
            Ok(new) => {
                info!(not_after = %new.not_after, "the TLS files were read again and are in use");
                credentials.store(Arc::new(new));
                None
            }
            Err(error) => kept(error_chain(&error)),
        }
    }

    fn reload_allow_list(&self) -> Option<String> {
        let mut config = match Config::load(&self.file) {
            Ok(config) => config,
            Err(error) => {
                let words = error_chain(&error).replace('\n', "; ");
                return Some(format!("the configuration on disk is not in use, the one before stays: {words}"));
            }
        };
        let allow = std::mem::replace(&mut config.allow, self.started_with.allow.clone());
        if allow != **self.allow.load() {
            let (viewers, operators) = (allow.count(Role::Viewer), allow.count(Role::Operator));
            info!(viewers, operators, "the allow-list changed on disk and is in use now");
            self.allow.store(Arc::new(allow));
        }
        let file = self.file.display();
        (config != self.started_with).then(|| format!("{file} changed beyond [allow]; restart the agent to use it"))
    }

    /// Looks at the files every [`LOOK_EVERY`] and at SIGHUP, for ever. SIGHUP is taken from this call on, not from the first
    /// poll: without a handler it would end an agent that has just said that it is ready.
    pub fn follow(self: Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let hangup = signal(SignalKind::hangup()).ok();
        self.follow_with(hangup)
    }

    async fn follow_with(self: Arc<Self>, mut hangup: Option<Signal>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.read_first;
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                Some(()) = async { hangup.as_mut()?.recv().await } => true,
            };
            let now = digest(&self.file, &self.started_with);
            if asked || now != seen {
                self.reload();
                seen = now;
            }
        }
    }
}

/// A digest of what the files say. A file that cannot be read counts as empty, so its coming back is a change.
fn digest(file: &Path, config: &Config) -> u64 {
    let tls = &config.tls;
    let mut hasher = DefaultHasher::new();
    for path in [&tls.certificate, &tls.key, &tls.client_ca].map(PathBuf::as_path).into_iter().chain([file]) {
        fs::read(path).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}
