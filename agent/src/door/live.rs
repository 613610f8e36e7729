//! What may change while the agent runs: certificates, the CAs of callers, the allow-list, and most of the configuration.
//!
//! The agent reads the files every few seconds and at SIGHUP, and compares their content: modification times would miss a
//! file rewritten within one tick of the clock, and would take a rewrite with the same text for a change. A file that cannot
//! be used is logged once and stays among the node's warnings until it is fixed; what was in force stays in force.

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
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use usher_common::{chain, clock};

use super::tls::{Credentials, TlsError};
use crate::{
    access::{AllowList, Role},
    config::{Config, InForce},
};

/// How often the files are read. Certificates are renewed hours before they expire, but somebody who has edited the
/// allow-list waits for it.
pub const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// The settings in force.
#[derive(Debug)]
pub struct Live {
    file: PathBuf,
    /// The whole configuration; its allow-list is not used, [`Live::allow`] is.
    settings: Arc<InForce>,
    /// `None` behind a door without TLS.
    credentials: Option<ArcSwap<Credentials>>,
    allow: ArcSwap<AllowList>,
    warnings: ArcSwap<Vec<String>>,
    /// The digest of the files from before they were first read, so that no change in between is missed.
    read_first: u64,
}

impl Live {
    /// Reads the PEM files that `config` names, if the door has TLS. `file` is where `config` came from.
    pub(crate) fn new(file: PathBuf, settings: Arc<InForce>, tls: bool) -> Result<Arc<Self>, TlsError> {
        let config = settings.load();
        let read_first = digest(&file, &config);
        let credentials = if tls { Some(Credentials::load(&config.tls)?) } else { None };
        Ok(Arc::new(Self {
            file,
            read_first,
            credentials: credentials.map(ArcSwap::from_pointee),
            allow: ArcSwap::from_pointee(config.allow.clone()),
            warnings: ArcSwap::default(),
            settings,
        }))
    }

    /// The configuration of the next handshake, `None` behind a door without TLS.
    pub(crate) fn server(&self) -> Option<Arc<ServerConfig>> {
        Some(Arc::clone(&self.credentials.as_ref()?.load().server))
    }

    /// When the agent's certificate expires, `None` behind a door without TLS.
    pub(crate) fn certificate_not_after(&self) -> Option<Timestamp> {
        Some(self.credentials.as_ref()?.load().not_after)
    }

    /// The role of a caller with these names, or how many names are listed as viewers and as operators.
    pub(crate) fn role(&self, names: &[String]) -> Result<Role, (usize, usize)> {
        let allow = self.allow.load();
        allow.role(names).ok_or_else(|| (allow.count(Role::Viewer), allow.count(Role::Operator)))
    }

    /// What is wrong with the files now, in sentences.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.load().as_ref().clone();
        if self.credentials.as_ref().is_some_and(|credentials| credentials.load().expired(clock::now())) {
            let config = self.settings.load();
            let path = config.tls.certificate.display();
            warnings
                .push(format!("the agent's certificate {path} has expired; renew it, the agent picks it up by itself"));
        }
        if self.allow.load().is_empty() {
            warnings.push(format!("nobody is listed in [allow] of {}", self.file.display()));
        }
        warnings
    }

    /// Reads all files again and puts into force what can be used.
    pub fn reload(&self) {
        let warnings: Vec<_> = [self.reload_credentials(), self.reload_config()].into_iter().flatten().collect();
        let before = self.warnings.load();
        for warning in warnings.iter().filter(|warning| !before.contains(warning)) {
            warn!("{warning}");
        }
        self.warnings.store(Arc::new(warnings));
    }

    fn reload_credentials(&self) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        let config = self.settings.load();
        let files = &config.tls;
        let kept =
            |reason: String| Some(format!("the TLS files on disk are not in use, the ones before stay: {reason}"));
        match Credentials::load(files) {
            Ok(new) if new.expired(clock::now()) => kept(format!("{} has expired", files.certificate.display())),
            Ok(new) => {
                info!(not_after = %new.not_after, "the TLS files were read again and are in use");
                credentials.store(Arc::new(new));
                None
            }
            Err(error) => kept(chain(&error)),
        }
    }

    fn reload_config(&self) -> Option<String> {
        let config = match Config::load(&self.file) {
            Ok(config) => config,
            Err(error) => {
                let reason = chain(&error).replace('\n', "; ");
                return Some(format!("the configuration on disk is not in use, the one before stays: {reason}"));
            }
        };
        if config.allow != **self.allow.load() {
            let allow = config.allow.clone();
            let (viewers, operators) = (allow.count(Role::Viewer), allow.count(Role::Operator));
            info!(viewers, operators, "the allow-list changed on disk and is in use now");
            self.allow.store(Arc::new(allow));
        }
        let before = self.settings.load();
        let fixed = self.settings.replace(config);
        if *self.settings.load() != *before {
            info!("the configuration changed on disk and is in use now");
        }
        let file = self.file.display();
        let changed = || format!("{file} changed in {}; restart the agent to use that", fixed.join(", "));
        (!fixed.is_empty()).then(changed)
    }

    /// Reloads the files whenever they change. Never returns.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.read_first;
        loop {
            ticks.tick().await;
            let now = digest(&self.file, &self.settings.load());
            if now != seen {
                self.reload();
                seen = now;
            }
        }
    }
}

/// A digest of the files' content. An unreadable file counts as empty, so that its return is a change.
#[allow(clippy::disallowed_methods)] // configuration and certificates are always the machine's
fn digest(file: &Path, config: &Config) -> u64 {
    let tls = &config.tls;
    let mut hasher = DefaultHasher::new();
    for path in [&tls.certificate, &tls.key, &tls.client_ca].map(PathBuf::as_path).into_iter().chain([file]) {
        fs::read(path).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}
