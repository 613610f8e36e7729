//! One look at systemd and login1 for a status, shared by those who wait for it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use jiff::Timestamp;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};
use usher_common::chain;

use super::{
    bus::{Bus, BusError},
    login::{Inhibitor, Login, Shutdowns, UserSession, reboot_refused},
    systemd::{Systemd, Unit},
};

/// How long a look may take in all. The coordinator waits 10 s for a status.
const LOOK_WITHIN: Duration = Duration::from_secs(4);

/// The unit that the package starts the agent by.
const OWN_UNIT: &str = "usher-agent.service";

/// A look that took longer is also for those who came while it was under way: something hangs, and would hang again.
const SLOW: Duration = Duration::from_secs(2);

/// What systemd and login1 tell of the machine. What they did not tell is empty, and a warning says why.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By name; those that could not be read are missing.
    pub(crate) units: BTreeMap<String, Unit>,
    pub(crate) booted_at: Option<Timestamp>,
    pub(crate) inhibitors: Vec<Inhibitor>,
    pub(crate) sessions: Vec<UserSession>,
    pub(crate) shutdowns: Shutdowns,
    /// Why login1 would not let the agent reboot, if it would not.
    pub(crate) reboot_refused: Option<String>,
    /// In sentences.
    pub(crate) warnings: Vec<String>,
    /// Whether both have told everything that they were asked.
    pub(crate) complete: bool,
}

/// Looks at the machine for statuses, one look at a time.
///
/// A caller that comes during a look gets the next one, together with all who came meanwhile. So a crowd costs two looks, and a
/// status never shows what was so before it was asked for: an operator may expect the InvocationID that it tells.
#[derive(Debug)]
pub(crate) struct Looks {
    systemd: Systemd,
    login: Login,
    /// How many have begun.
    begun: AtomicU64,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    number: u64,
    slow: bool,
    seen: Arc<Seen>,
}

impl Looks {
    pub(super) fn new(bus: Bus) -> Self {
        let bus = Arc::new(bus);
        let (systemd, login) = (Systemd::new(Arc::clone(&bus)), Login::new(bus));
        Self { systemd, login, begun: AtomicU64::new(0), last: Mutex::default() }
    }

    /// What the machine is like now.
    pub(crate) async fn look<'a>(&self, units: impl Iterator<Item = &'a String>) -> Arc<Seen> {
        let arrived = self.begun.load(Ordering::Relaxed);
        let (mut last, waited) = match self.last.try_lock() {
            Ok(last) => (last, false),
            Err(_) => (self.last.lock().await, true),
        };
        let shared = |last: &&Last| waited && (last.number > arrived || last.number == arrived && last.slow);
        if let Some(last) = last.as_ref().filter(shared) {
            return Arc::clone(&last.seen);
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let started = Instant::now();
        let seen = Arc::new(self.ask(units, started + LOOK_WITHIN).await);
        *last = Some(Last { number, slow: started.elapsed() >= SLOW, seen: Arc::clone(&seen) });
        seen
    }

    /// The units as they are now, without those that systemd does not tell of in time.
    pub(crate) async fn units<'a>(&self, units: impl Iterator<Item = &'a String>) -> Vec<Unit> {
        let deadline = Instant::now() + LOOK_WITHIN;
        let asked = units.map(|name| by(deadline, self.systemd.unit(name)));
        join_all(asked).await.into_iter().filter_map(Result::ok).collect()
    }

    async fn ask<'a>(&self, units: impl Iterator<Item = &'a String>, deadline: Instant) -> Seen {
        let (systemd, login) = (&self.systemd, &self.login);
        let unit = |name: &'a String| async move { (name, by(deadline, systemd.unit(name)).await) };
        let (units, own, booted_at, inhibitors, sessions, shutdowns, can_reboot) = tokio::join!(
            join_all(units.map(unit)),
            by(deadline, systemd.file_state(OWN_UNIT)),
            by(deadline, systemd.booted_at()),
            by(deadline, login.inhibitors()),
            by(deadline, login.user_sessions()),
            by(deadline, login.shutdowns()),
            by(deadline, login.can_reboot()),
        );
        let mut seen = Seen { booted_at: booted_at.ok().flatten(), ..Seen::default() };
        let mut systemd_error = None;
        for (name, unit) in units {
            match unit {
                Ok(unit) => {
                    seen.warnings.extend(unit.alias_of().map(|id| {
                        format!(
                            "{name} in the agent's configuration is an alias of {id}: polkit knows units by their own names, and \
                             refuses jobs of this one. Write {id} there, in polkit's rule and in the cluster file"
                        )
                    }));
                    seen.units.insert(name.clone(), unit);
                }
                Err(error) => systemd_error = Some(error),
            }
        }
        seen.complete = systemd_error.is_none();
        seen.warnings.extend(systemd_error.map(|error| format!("systemd does not answer: {error}")));
        // Not of much use to say that it could not be asked: the units say so.
        if let Some(state) = own.ok().flatten().filter(|state| matches!(state.as_str(), "disabled" | "masked")) {
            seen.warnings.push(format!(
                "{OWN_UNIT} is {state}: after a reboot nobody would answer for this node; systemctl enable {OWN_UNIT}"
            ));
        }
        let mut warnings = Vec::new();
        seen.inhibitors = or_warn(inhibitors, "inhibitors of a shutdown are unknown", &mut warnings);
        seen.sessions = or_warn(sessions, "who is logged in is unknown", &mut warnings);
        seen.shutdowns = or_warn(shutdowns, "whether a shutdown is under way or scheduled is unknown", &mut warnings);
        let can_reboot = or_warn(can_reboot.map(Some), "whether login1 would reboot is unknown", &mut warnings);
        seen.reboot_refused = can_reboot.as_deref().and_then(reboot_refused);
        seen.complete &= warnings.is_empty();
        seen.warnings.extend(warnings);
        seen
    }
}

/// An answer, or in words why there is none by the deadline.
async fn by<T>(deadline: Instant, asked: impl Future<Output = Result<T, BusError>>) -> Result<T, String> {
    match timeout_at(deadline, asked).await {
        Ok(answer) => answer.map_err(|error| chain(&error)),
        Err(_) => Err(format!("no answer within {LOOK_WITHIN:?}")),
    }
}

fn or_warn<T: Default>(answer: Result<T, String>, message: &str, warnings: &mut Vec<String>) -> T {
    answer.unwrap_or_else(|error| {
        warnings.push(format!("{message}: {error}"));
        T::default()
    })
}
