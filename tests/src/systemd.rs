//! A systemd and a login1 that are not there: the D-Bus objects of both, in this process (paused time included) or behind a
//! private socket, with behaviours to be set.
//!
//! Below the agent's own D-Bus code, so that the code under test is the code that ships. What it does was seen on systemd
//! 252: job paths, the order of signal and reply, a new InvocationID at each start, one that stays after a stop,
//! `NoSuchUnit` for jobs and `not-found` for a load.

mod companion;
mod line;
mod login;
mod manager;
mod objects;
mod refused;
mod serve;
mod state;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use zbus::Connection;

pub use companion::accompany;
pub use line::{CallMoment, Line};
pub use serve::Listener;
pub use state::{Calls, FakeUnit, JobOutcome, Reboot, Service};
use state::{State, Unheard};

/// How many fakes there were: each has InvocationIDs of its own.
static FAKES: AtomicU32 = AtomicU32::new(0);

/// A fake systemd with its login1. Clones are the same.
#[derive(Clone)]
pub struct FakeSystemd {
    state: Arc<Mutex<State>>,
    changes: watch::Sender<u64>,
    /// On which a call came in.
    line: Line,
}

impl Default for FakeSystemd {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeSystemd {
    /// One without any unit, session or inhibitor. A reboot is taken, and nothing comes of it.
    pub fn new() -> Self {
        Self::numbered(u64::from(std::process::id()) << 32 | u64::from(FAKES.fetch_add(1, Ordering::Relaxed)))
    }

    /// The same with InvocationIDs that follow from `number`: equal numbers give equal runs. No two fakes of one test should
    /// have the same.
    pub fn numbered(number: u64) -> Self {
        let state = Arc::new(Mutex::new(State::numbered(number)));
        Self { state, changes: watch::Sender::new(0), line: Line::default() }
    }

    /// Tells after each change of a unit, a job, a session, an inhibitor or the machine. The value only counts.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Adds a unit that runs.
    pub fn with_unit(self, name: &str) -> Self {
        self.add_unit(name);
        self
    }

    /// Adds a unit that runs, and tells its InvocationID.
    pub fn add_unit(&self, name: &str) -> String {
        self.change(|state| {
            let unit = FakeUnit::running(state.next_invocation_id());
            let id = unit.invocation_id.clone();
            state.units.insert(name.to_owned(), unit);
            id
        })
    }

    /// Lets a unit be loaded by another name as well. As with systemd, its `Id` is its own name all the same.
    pub fn add_alias(&self, alias: &str, of: &str) {
        self.change(|state| state.aliases.insert(alias.to_owned(), of.to_owned()));
    }

    /// Changes a unit behind the agent's back: its behaviour or its present state. Panics on a name that was never added.
    pub fn set_unit(&self, name: &str, change: impl FnOnce(&mut FakeUnit)) {
        self.change(|state| change(state.units.get_mut(name).expect("a unit that was added")));
    }

    /// A unit as it is now. Panics on a name that was never added.
    pub fn unit(&self, name: &str) -> FakeUnit {
        self.state().units.get(name).expect("a unit that was added").clone()
    }

    /// The names of all units.
    pub fn units(&self) -> Vec<String> {
        self.state().units.keys().cloned().collect()
    }

    /// Calls this with each job as somebody asks for it: `restart kube-scheduler.service`.
    pub fn on_job(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        self.change(|state| state.on_job = Some(Arc::new(tell)));
    }

    /// Calls this right before each job and each reboot that somebody asks for, and right after it was done and before the caller is
    /// told: `stop kube-scheduler.service`, `reboot`.
    pub fn on_call(&self, tell: impl Fn(&str, CallMoment) + Send + Sync + 'static) {
        self.change(|state| state.on_call = Some(Arc::new(tell)));
    }

    /// Starts a unit anew behind the agent's back, as an automatic restart does, and tells its InvocationID.
    pub fn restart_behind(&self, name: &str) -> String {
        let id = self.change(State::next_invocation_id);
        self.set_unit(name, |unit| {
            unit.active_state = "active".to_owned();
            unit.sub_state = "running".to_owned();
            unit.invocation_id.clone_from(&id);
            unit.restarts += 1;
        });
        id
    }

    /// Restarts a unit as an admin does, by a job of which systemd tells.
    pub fn restart_by_hand(&self, name: &str) {
        self.run_job(state::Verb::Restart, name);
    }

    /// Stops a unit behind the agent's back, as an admin does. It takes as long as the unit's other jobs.
    pub fn stop_behind(&self, name: &str) {
        self.run_job(state::Verb::Stop, name);
    }

    /// How long systemd takes to answer for a unit from now on.
    pub fn answers_after(&self, takes: Duration) {
        self.change(|state| state.answers_after = takes);
    }

    /// Takes an inhibitor: what (`shutdown`, `sleep:shutdown`), who, why, mode (`block`, `block-weak`, `delay`).
    pub fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) {
        let inhibitor = (what.to_owned(), who.to_owned(), why.to_owned(), mode.to_owned(), 0, 4711);
        self.change(|state| state.inhibitors.push(inhibitor));
    }

    /// Lets all inhibitors go.
    pub fn release_inhibitors(&self) {
        self.change(|state| state.inhibitors.clear());
    }

    /// Logs somebody in, with a session class (`user`, `greeter`, `background`, …) and state (`active`, `closing`, …).
    pub fn log_in(&self, user: &str, class: &str, session_state: &str) {
        let session = (user.to_owned(), class.to_owned(), session_state.to_owned());
        self.change(|state| state.sessions.push(session));
    }

    /// Logs everybody out.
    pub fn log_out_all(&self) {
        self.change(|state| state.sessions.clear());
    }

    /// What login1 does when it is told to reboot.
    pub fn on_reboot(&self, reboot: Reboot) {
        self.change(|state| state.reboot = reboot);
    }

    /// What login1 says to CanReboot: `yes` at first.
    pub fn set_can_reboot(&self, answer: &str) {
        self.change(|state| answer.clone_into(&mut state.can_reboot));
    }

    /// Whether login1 says that a shutdown is under way.
    pub fn set_preparing(&self, preparing: bool) {
        self.change(|state| state.preparing = preparing);
    }

    /// Schedules a shutdown, as `shutdown` does: `poweroff`, `reboot`, `dry-reboot`, …
    pub fn schedule(&self, kind: &str, at: jiff::Timestamp, message: &str) {
        let at = u64::try_from(at.as_microsecond()).unwrap_or(0);
        self.change(|state| state.scheduled = (kind.to_owned(), at, message.to_owned()));
    }

    /// Lets both services be of this version of systemd. Since 257, login1 respects block inhibitors unless the call says
    /// to skip them; before, it refuses such a flag.
    pub fn set_version(&self, version: u32) {
        self.change(|state| state.version = version);
    }

    /// Lets a service take calls of its methods and not answer them.
    pub fn hang(&self, service: Service) {
        self.change(|state| state.hanging.push(service));
    }

    /// Lets both services answer again, also what was asked meanwhile.
    pub fn wake(&self) {
        self.change(|state| state.hanging.clear());
    }

    /// Lets the next calls of LoadUnit and for jobs fail as on a bus that has no room for them.
    pub fn fill_bus(&self, calls: u32) {
        self.change(|state| state.unheard = (calls, Unheard::Full));
    }

    /// Lets the next calls of LoadUnit and for jobs fail as while systemd executes itself anew: the bus finds nobody to ask.
    pub fn leave_bus(&self, calls: u32) {
        self.change(|state| state.unheard = (calls, Unheard::Absent));
    }

    /// The calls so far, and forgets them, but for those that have no answer yet.
    pub fn take_calls(&self) -> Calls {
        let calls = &mut self.state().calls;
        let loads = calls.loads;
        std::mem::replace(calls, Calls { loads, loads_at_once: loads, ..Calls::default() })
    }

    /// What login1 tells the users once somebody has asked it for a reboot.
    pub fn wall(&self) -> Option<String> {
        self.state().wall.clone()
    }

    /// How often login1 was told to reboot.
    pub fn reboots(&self) -> usize {
        self.state().reboots
    }

    /// How many jobs of other units end while systemd takes one: on a machine that boots, a crowd.
    pub fn set_other_jobs(&self, number: u32) {
        self.change(|state| state.other_jobs = number);
    }

    /// All jobs ever asked for, in order: `restart kube-scheduler.service`.
    pub fn jobs(&self) -> Vec<String> {
        self.state().jobs_asked.clone()
    }

    /// Plays a boot: jobs and shutdown are forgotten, and every unit starts under a new InvocationID.
    pub fn boot(&self) {
        self.change(State::boot);
    }

    /// When systemd says that the machine has booted.
    pub fn set_booted_at(&self, at: jiff::Timestamp) {
        self.change(|state| state.booted_at = u64::try_from(at.as_microsecond()).unwrap_or(0));
    }

    /// Closes every connection, as a restart of the bus does. Jobs go on.
    pub fn drop_connections(&self) {
        let connections = std::mem::take(&mut self.state().connections);
        for connection in connections {
            tokio::spawn(connection.close());
        }
    }

    /// Lets go of its connections, whose objects hold it in turn.
    pub(crate) fn end(&self) {
        let connections = std::mem::take(&mut self.state().connections);
        drop(connections);
    }

    /// A connection to it within this process, for code that takes one ready-made.
    ///
    /// # Errors
    ///
    /// If the handshake fails.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        serve::pair(self).await
    }

    /// The same, for a process that can be killed: what it has asked for has no effect, and is not answered, once the line is cut.
    ///
    /// # Errors
    ///
    /// If the handshake fails.
    pub async fn connect_over(&self, line: &Line) -> anyhow::Result<Connection> {
        serve::pair(&Self { line: line.clone(), ..self.clone() }).await
    }

    /// Listens on a unix socket, for programs of their own: their bus address is `unix:path=…`.
    ///
    /// # Errors
    ///
    /// If the socket cannot be made.
    pub fn listen(&self, path: &Path) -> anyhow::Result<Listener> {
        serve::listen(self, path)
    }

    /// The state, to be read: what changes it goes through [`FakeSystemd::change`].
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
        changed
    }

    /// Waits while this service hangs, and for ever if the caller was killed.
    async fn awake(&self, service: Service) {
        self.line.open().await;
        let mut changes = self.changes();
        while self.state().hanging.contains(&service) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tells of a call; its caller may be killed at that moment.
    async fn tell(&self, call: &str, moment: CallMoment) {
        let tell = self.state().on_call.clone();
        if let Some(tell) = tell {
            tell(call, moment);
        }
        self.line.open().await;
    }

    /// Why the bus passes no call on, if it does not.
    fn unheard(&self) -> Option<Unheard> {
        let mut state = self.state();
        let (calls, why) = state.unheard;
        state.unheard.0 = calls.saturating_sub(1);
        (calls > 0).then_some(why)
    }

    /// Starts the job's clock: after the unit's `takes` the outcome is put into force and everybody is told.
    fn run_job(&self, verb: state::Verb, unit: &str) -> u32 {
        let (number, takes) = self.change(|state| state.begin_job(verb, unit));
        let tell = self.state().on_job.clone();
        if let Some(tell) = tell {
            tell(&format!("{} {unit}", verb.word()));
        }
        let (fake, unit) = (self.clone(), unit.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            let (result, dies_after) = fake.change(|state| state.end_job(verb, &unit, number));
            let told = fake.state().units.get(&unit).is_none_or(|unit| unit.outcome != JobOutcome::Untold);
            if told {
                manager::tell_job_removed(&fake, number, &unit, result).await;
            }
            if let Some(dies_after) = dies_after {
                fake.die_later(&unit, dies_after);
            }
        });
        number
    }

    fn die_later(&self, unit: &str, after: Duration) {
        let (fake, unit) = (self.clone(), unit.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            fake.change(|state| {
                if let Some(unit) = state.units.get_mut(&unit) {
                    unit.failed("exit-code");
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_give_equal_invocation_ids_and_others_give_others() {
        let ids = |fake: FakeSystemd| {
            [fake.add_unit("a.service"), fake.add_unit("b.service"), fake.restart_behind("a.service")]
        };
        let seven = ids(FakeSystemd::numbered(7));
        assert_eq!(seven, ids(FakeSystemd::numbered(7)));
        assert!(ids(FakeSystemd::numbered(8)).iter().all(|id| !seven.contains(id)));
        assert_ne!(seven[0], seven[2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_and_a_look_is_not() {
        let fake = FakeSystemd::new().with_unit("a.service");
        let mut changes = fake.changes();
        fake.unit("a.service");
        assert!(!changes.has_changed().unwrap());
        fake.set_unit("a.service", |unit| unit.takes = Duration::from_secs(3));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();

        fake.run_job(state::Verb::Stop, "a.service");
        changes.changed().await.unwrap();
        assert_eq!(fake.unit("a.service").active_state, "deactivating");
        changes.changed().await.unwrap();
        assert_eq!(fake.unit("a.service").active_state, "inactive");
    }
}
