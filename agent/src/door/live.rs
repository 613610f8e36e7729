//! What may change while the agent runs: certificates, the CAs of callers and their revocation lists, who may do what, and
//! most of the configuration.
//!
//! The agent reads the files every few seconds and at SIGHUP, and compares their content: modification times would miss a
//! file rewritten within one tick of the clock, and would take a rewrite with the same text for a change. A file that cannot
//! be used is logged once and stays among the node's warnings until it is fixed; what was in force stays in force.

mod follow;
mod modes;

use std::{
    io,
    mem::discriminant,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::sync::{Notify, watch};
use tracing::{info, warn};
use usher_common::{chain, clock};
use usher_proto::reason;

pub use follow::POLL_INTERVAL;

use super::{
    peer::Peer,
    rights::Rights,
    tls::{Callers, Credentials, Own, TlsError, Unfit},
};
use crate::{
    access::{Role, Wanted},
    config::{Config, InForce, Limits},
    refusal::Refusal,
};

/// Who a peer is to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A caller on the allow-list.
    Listed(Role),
    /// The node's own root, on the Unix socket.
    Root,
}

/// The settings in force.
#[derive(Debug)]
pub struct Live {
    file: PathBuf,
    /// The whole configuration; its lists of callers are not used, [`Live::rights`] is.
    settings: Arc<InForce>,
    /// `None` behind a door without TLS; empty until the PEM files can be used for the first time.
    credentials: Option<ArcSwapOption<Credentials>>,
    /// Why no caller can be served: the PEM files could not be used yet. `None` once they were.
    closed: watch::Sender<Option<String>>,
    /// Counts the credentials that have been in force: a connection that an earlier generation let in is verified again.
    generation: AtomicU64,
    rights: Rights,
    /// Told whenever somebody may have lost a right.
    changes: watch::Sender<()>,
    /// Told after each look at the files.
    looks: watch::Sender<()>,
    /// Told to read the files at once.
    asked: Notify,
    warnings: ArcSwap<Vec<String>>,
    /// Which files are open to more users than they should be.
    modes: ArcSwap<Vec<String>>,
    /// Why the node's own root is not served.
    no_socket: OnceLock<String>,
    config_in_use: AtomicBool,
    /// When a configuration that could be used was last read, in seconds since 1970.
    config_read_at: AtomicI64,
    /// The digest of the files from before they were first read, so that no change in between is missed.
    read_first: u64,
}

impl Live {
    /// Reads the PEM files that the settings name, if the door has TLS. `file` is where the settings came from. If the files cannot
    /// be used, no caller is served until they can: see [`Live::closed`].
    pub(crate) fn new(file: PathBuf, settings: Arc<InForce>, tls: bool) -> Arc<Self> {
        let config = settings.load();
        let read_first = follow::digest(&file, &config);
        let modes = modes::too_open(&file, &config);
        let (mut closed, mut credentials) = (None, None);
        if tls {
            let loaded = Credentials::load(&config.tls).inspect_err(|error| closed = Some(why_closed(error)));
            credentials = Some(ArcSwapOption::from(loaded.ok().map(Arc::new)));
        }
        Arc::new(Self {
            file,
            read_first,
            credentials,
            closed: watch::Sender::new(closed),
            generation: AtomicU64::new(0),
            rights: Rights::new(&config),
            changes: watch::Sender::new(()),
            looks: watch::Sender::new(()),
            asked: Notify::new(),
            warnings: ArcSwap::default(),
            no_socket: OnceLock::new(),
            modes: ArcSwap::from_pointee(modes),
            config_in_use: AtomicBool::new(true),
            config_read_at: AtomicI64::new(clock::now().as_second()),
            settings,
        })
    }

    /// The credentials in force. `None` behind a door without TLS, and until the PEM files can be used.
    fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials.as_ref()?.load_full()
    }

    /// Why no caller can be served: the PEM files could not be used yet. `None` once they were, and behind a door without TLS.
    pub(crate) fn closed(&self) -> watch::Receiver<Option<String>> {
        self.closed.subscribe()
    }

    /// The configuration of the next handshake and its generation, `None` behind a door without TLS.
    pub(super) fn server(&self) -> Option<(Arc<ServerConfig>, u64)> {
        // The generation first: one that is too old only makes the chain be verified once more.
        let generation = self.generation.load(Ordering::Acquire);
        Some((Arc::clone(&self.credentials()?.server), generation))
    }

    /// When the agent's certificate expires, `None` behind a door without TLS.
    pub(crate) fn certificate_not_after(&self) -> Option<Timestamp> {
        Some(self.credentials()?.own.not_after())
    }

    /// Whether the configuration on disk could be read when it was last looked at.
    pub(crate) fn config_is_in_use(&self) -> bool {
        self.config_in_use.load(Ordering::Relaxed)
    }

    /// When a configuration that could be used was last read: at the agent's start, or by the last reload that succeeded.
    pub(crate) fn config_read_at(&self) -> Timestamp {
        Timestamp::from_second(self.config_read_at.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// What peers may cost the agent from now on. A connection goes on by those that it began with.
    pub(super) fn limits(&self) -> Limits {
        self.settings.load().limits
    }

    /// Who a peer is, by the certificates and lists that are in force now.
    pub(super) fn standing(&self, peer: &Peer) -> Result<Standing, Refusal> {
        // The kernel said so when it connected, and that does not change.
        if peer.is_local() {
            return Ok(Standing::Root);
        }
        let role = self.rights.role(peer)?;
        let generation = self.generation.load(Ordering::Acquire);
        if let Some(credentials) = self.credentials().filter(|_| peer.verified_by() != generation) {
            if !credentials.callers.verify(peer.chain(), clock::now()) {
                let message = format!(
                    "the certificate ({}) was accepted when the connection was made, but the CAs of callers or their revocation \
                     lists have changed since. Call with a certificate that they accept",
                    peer.caller
                );
                return Err(Refusal::new(reason::CERTIFICATE_REVOKED, message));
            }
            peer.set_verified_by(generation);
        }
        Ok(Standing::Listed(role))
    }

    /// Whether the allow-list permits a change to a peer that is an operator.
    pub(crate) fn permit(&self, peer: &Peer, wanted: &Wanted<'_>) -> Result<(), Refusal> {
        self.rights.permit(peer, wanted)
    }

    /// Whether the allow-list permits any change at all to a peer that is an operator.
    pub(crate) fn permit_any(&self, peer: &Peer) -> Result<(), Refusal> {
        self.rights.permit_any(peer)
    }

    /// Changes whenever somebody may have lost a right.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Changes after each look at the files. Who has other files to look at does so then.
    pub(crate) fn looks(&self) -> watch::Receiver<()> {
        self.looks.subscribe()
    }

    /// What is wrong with the files now, in sentences.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.load().as_ref().clone();
        warnings.extend(self.no_socket.get().cloned());
        warnings.extend(self.closed.borrow().clone());
        warnings.extend(self.modes.load().iter().cloned());
        if let Some(unfit) = self.credentials().and_then(|credentials| self.unfit(&credentials.own)) {
            let config = self.settings.load();
            let path = config.tls.certificate.display();
            warnings.push(match unfit {
                Unfit::Expired(_) => {
                    format!("the agent's certificate {path} has expired; renew it, the agent picks it up by itself")
                }
                unfit => format!("callers may not accept the agent's certificate {path}: {unfit}"),
            });
        }
        if self.rights.counts() == (0, 0) {
            warnings.push(format!("nobody is listed in [allow] of {}", self.file.display()));
        }
        warnings
    }

    /// Takes note that the Unix socket could not be opened.
    pub(crate) fn warn_of_socket(&self, error: &io::Error) {
        let path = self.settings.load().socket.clone();
        let warning = format!(
            "root on the node cannot ask the agent for anything: the socket {} could not be made: {error}. Does its folder exist, \
             and may the agent write there? The agent's unit has RuntimeDirectory=usher-agent",
            path.display()
        );
        warn!("{warning}");
        let _ = self.no_socket.set(warning);
    }

    /// Has all files read at once, by the task that follows them and where a disk that hangs keeps nobody waiting. Any number of calls
    /// during a read lead to one more.
    pub fn reload_soon(&self) {
        self.asked.notify_one();
    }

    /// Reads all files again and puts into force what can be used. It blocks while the disk does.
    pub fn reload(&self) {
        let mut warnings = self.reload_credentials();
        warnings.extend(self.reload_config());
        let before = self.warnings.load();
        for warning in warnings.iter().filter(|warning| !before.contains(warning)) {
            warn!("{warning}");
        }
        self.warnings.store(Arc::new(warnings));
        self.look_at_modes();
        self.looks.send_replace(());
    }

    fn look_at_modes(&self) {
        let modes = modes::too_open(&self.file, &self.settings.load());
        let before = self.modes.load();
        for warning in modes.iter().filter(|warning| !before.contains(warning)) {
            warn!("{warning}");
        }
        self.modes.store(Arc::new(modes));
    }

    /// The agent's own certificate and what verifies its callers are put into force apart: a broken certificate must not keep a
    /// revoked caller in.
    fn reload_credentials(&self) -> Vec<String> {
        let Some(credentials) = &self.credentials else { return Vec::new() };
        let config = self.settings.load();
        let Some(in_force) = credentials.load_full() else {
            // The first ones are taken as they are at the agent's start: even an expired certificate tells callers what is wrong.
            match Credentials::load(&config.tls) {
                Ok(first) => self.put(credentials, first),
                Err(error) => self.stay_closed(why_closed(&error)),
            }
            return Vec::new();
        };
        let mut warnings = Vec::new();
        let callers = Callers::load(&config.tls).unwrap_or_else(|error| {
            let reason = chain(&error);
            warnings.push(format!("the CAs of callers on disk are not in use, the ones before stay: {reason}"));
            in_force.callers.clone()
        });
        let own = self.renewed(&in_force.own).unwrap_or_else(|reason| {
            warnings.push(format!("the TLS files on disk are not in use, the ones before stay: {reason}"));
            in_force.own.clone()
        });
        let new = match Credentials::of(callers, own) {
            Ok(new) => new,
            Err(error) => {
                warnings.push(format!("the TLS files on disk are not in use, the ones before stay: {}", chain(&error)));
                return warnings;
            }
        };
        self.put(credentials, new);
        warnings
    }

    fn stay_closed(&self, why: String) {
        let changed = self.closed.send_if_modified(|before| {
            let changed = before.as_ref() != Some(&why);
            *before = Some(why.clone());
            changed
        });
        if changed {
            warn!("{why}");
        }
    }

    fn put(&self, credentials: &ArcSwapOption<Credentials>, new: Credentials) {
        info!(not_after = %new.own.not_after(), "the TLS files were read again");
        credentials.store(Some(Arc::new(new)));
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.closed.send_replace(None);
        self.changes.send_replace(());
    }

    /// The agent's certificate on disk, unless it is worse than the one in force.
    fn renewed(&self, in_force: &Own) -> Result<Own, String> {
        let config = self.settings.load();
        let new = Own::load(&config.tls).map_err(|error| chain(&error))?;
        let Some(unfit) = self.unfit(&new) else { return Ok(new) };
        let no_worse = self.unfit(in_force).is_some_and(|fault| discriminant(&fault) == discriminant(&unfit));
        let path = config.tls.certificate.display();
        if no_worse { Ok(new) } else { Err(format!("callers would not accept {path}: {unfit}")) }
    }

    fn unfit(&self, own: &Own) -> Option<Unfit> {
        let config = self.settings.load();
        own.unfit(&config.tls, &config.node, clock::now())
    }

    fn reload_config(&self) -> Option<String> {
        let loaded = Config::load(&self.file);
        self.config_in_use.store(loaded.is_ok(), Ordering::Relaxed);
        if loaded.is_ok() {
            self.config_read_at.store(clock::now().as_second(), Ordering::Relaxed);
        }
        let config = match loaded {
            Ok(config) => config,
            Err(error) => {
                let reason = chain(&error).replace('\n', "; ");
                if let Some(said) = Config::load_in_part(&self.file)
                    && self.rights.narrow(said)
                {
                    let (viewers, operators) = self.rights.counts();
                    warn!(
                        viewers,
                        operators, "callers lost rights that the configuration on disk does not give any more"
                    );
                    self.changes.send_replace(());
                }
                return Some(format!(
                    "the configuration on disk is not in use, the one before stays, except that callers whom the new one does not \
                     list have lost their rights: {reason}"
                ));
            }
        };
        if self.rights.replace(config.allow.clone(), config.deny.clone()) {
            let (viewers, operators) = self.rights.counts();
            info!(viewers, operators, "the lists of callers changed on disk and are in use now");
            self.changes.send_replace(());
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
}

fn why_closed(error: &TlsError) -> String {
    format!(
        "no caller is served but root on this node: {}. The agent looks again every few seconds, and serves callers once the files \
         can be used",
        chain(error)
    )
}
