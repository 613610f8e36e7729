//! What the fake remembers, and how jobs change it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use zbus::Connection;

use super::line::CallMoment;

/// What the outcome of the next jobs on a unit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// The job ends `done` and the unit is as asked.
    Done,
    /// The job ends `failed`; the unit tried to start under a new InvocationID and failed.
    Failed,
    /// The job ends `done`, and the unit fails this long after.
    Dies(Duration),
    /// systemd refuses the job, as polkit makes it.
    AccessDenied,
    /// The job ends `done`, and nobody is told, as while systemd re-executes itself.
    Untold,
    /// The job ends `done`, but the unit was not touched.
    Nothing,
}

/// A unit of the fake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeUnit {
    /// LoadState.
    pub load_state: &'static str,
    /// ActiveState.
    pub active_state: String,
    /// SubState.
    pub sub_state: String,
    /// InvocationID, 32 hexadecimal digits; empty if it never ran.
    pub invocation_id: String,
    /// Result of the service.
    pub result: String,
    /// NRestarts.
    pub restarts: u32,
    /// NeedDaemonReload.
    pub needs_daemon_reload: bool,
    /// UnitFileState.
    pub file_state: String,
    /// The program of ExecStart.
    pub program: String,
    /// How long the next jobs take.
    pub takes: Duration,
    /// What becomes of them.
    pub outcome: JobOutcome,
    pub(super) job: Option<u32>,
}

impl FakeUnit {
    pub(super) fn running(invocation_id: String) -> Self {
        Self {
            load_state: "loaded",
            active_state: "active".to_owned(),
            sub_state: "running".to_owned(),
            invocation_id,
            result: "success".to_owned(),
            restarts: 0,
            needs_daemon_reload: false,
            file_state: "enabled".to_owned(),
            program: "/opt/fake/bin/unit".to_owned(),
            takes: Duration::ZERO,
            outcome: JobOutcome::Done,
            job: None,
        }
    }

    pub(super) fn started(&mut self, invocation_id: String) {
        self.active_state = "active".to_owned();
        self.sub_state = "running".to_owned();
        self.result = "success".to_owned();
        self.invocation_id = invocation_id;
    }

    pub(super) fn failed(&mut self, result: &str) {
        self.active_state = "failed".to_owned();
        self.sub_state = "failed".to_owned();
        self.result = result.to_owned();
    }

    fn stopped(&mut self) {
        self.active_state = "inactive".to_owned();
        self.sub_state = "dead".to_owned();
    }
}

/// What login1 does when it is told to reboot.
#[derive(Clone, Default)]
pub enum Reboot {
    /// It takes the request, and nothing comes of it.
    #[default]
    Ignored,
    /// It refuses.
    Refused,
    /// It refuses because somebody else's shutdown is under way.
    InProgress,
    /// It takes the request and calls this, which plays the machine: change the boot id, kill the agent.
    Calls(Arc<dyn Fn() + Send + Sync>),
    /// As `Calls`, but the connection breaks instead of an answer.
    AnswerLost(Arc<dyn Fn() + Send + Sync>),
}

/// One of the two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// org.freedesktop.systemd1.
    Systemd,
    /// org.freedesktop.login1.
    Login,
}

/// How many calls the fake has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// All of them, to both services and for properties.
    pub all: usize,
    /// How many of LoadUnit were without an answer at once, at most.
    pub loads_at_once: usize,
    pub(super) loads: usize,
}

/// What a job does to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Restart,
    Stop,
    Start,
}

impl Verb {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Start => "start",
        }
    }
}

/// Why a bus answers in place of the service.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unheard {
    /// It has no room for the call.
    Full,
    /// Nobody has the service's name, and what was started in its place has ended.
    Absent,
}

/// Is told of each job that begins.
pub(super) type OnJob = Arc<dyn Fn(&str) + Send + Sync>;

/// Is told of each call that changes something, before and after it.
pub(super) type OnCall = Arc<dyn Fn(&str, CallMoment) + Send + Sync>;

/// Everything the fake remembers.
pub(super) struct State {
    /// What login1 tells the users once somebody has asked it for a reboot.
    pub(super) wall: Option<String>,
    pub(super) units: BTreeMap<String, FakeUnit>,
    /// Units' own names by their aliases.
    pub(super) aliases: BTreeMap<String, String>,
    pub(super) inhibitors: Vec<(String, String, String, String, u32, u32)>,
    /// User, class, state.
    pub(super) sessions: Vec<(String, String, String)>,
    pub(super) reboot: Reboot,
    pub(super) reboots: usize,
    pub(super) can_reboot: String,
    pub(super) other_jobs: u32,
    /// How long systemd takes to answer for a unit.
    pub(super) answers_after: Duration,
    pub(super) preparing: bool,
    /// Kind, microseconds since the epoch, message.
    pub(super) scheduled: (String, u64, String),
    /// systemd's version, of both services.
    pub(super) version: u32,
    pub(super) hanging: Vec<Service>,
    /// How many more calls the bus does not pass on, and why.
    pub(super) unheard: (u32, Unheard),
    pub(super) calls: Calls,
    pub(super) jobs_asked: Vec<String>,
    pub(super) on_job: Option<OnJob>,
    pub(super) on_call: Option<OnCall>,
    pub(super) connections: Vec<Connection>,
    /// Microseconds since the epoch.
    pub(super) booted_at: u64,
    last_job: u32,
    last_invocation: u128,
}

impl State {
    /// Nothing happened yet; InvocationIDs are counted up from one that belongs to `number` alone.
    pub(super) fn numbered(number: u64) -> Self {
        Self {
            wall: None,
            units: BTreeMap::new(),
            aliases: BTreeMap::new(),
            inhibitors: Vec::new(),
            sessions: Vec::new(),
            reboot: Reboot::Ignored,
            reboots: 0,
            can_reboot: "yes".to_owned(),
            other_jobs: 0,
            answers_after: Duration::ZERO,
            preparing: false,
            scheduled: (String::new(), u64::MAX, String::new()),
            version: 252,
            hanging: Vec::new(),
            unheard: (0, Unheard::Full),
            calls: Calls::default(),
            jobs_asked: Vec::new(),
            on_job: None,
            on_call: None,
            connections: Vec::new(),
            last_job: 0,
            last_invocation: u128::from(number) << 64,
            booted_at: 1_760_000_000_000_000,
        }
    }

    /// Jobs and shutdown are forgotten, and every unit starts under a new InvocationID.
    pub(super) fn boot(&mut self) {
        self.preparing = false;
        self.scheduled = (String::new(), u64::MAX, String::new());
        let names: Vec<_> = self.units.keys().cloned().collect();
        for name in names {
            let id = self.next_invocation_id();
            if let Some(unit) = self.units.get_mut(&name) {
                unit.job = None;
                // What is not enabled stays as the boot leaves it.
                if !matches!(unit.file_state.as_str(), "disabled" | "masked") {
                    unit.started(id);
                }
            }
        }
    }

    pub(super) fn next_invocation_id(&mut self) -> String {
        self.last_invocation += 1;
        // An odd factor keeps them all different, and makes their first digits so too.
        format!("{:032x}", self.last_invocation.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    /// Takes a job; its number and how long it takes.
    pub(super) fn begin_job(&mut self, verb: Verb, name: &str) -> (u32, Duration) {
        self.last_job += 1;
        let number = self.last_job;
        self.jobs_asked.push(format!("{} {name}", verb.word()));
        let Some(unit) = self.units.get_mut(name) else { return (number, Duration::ZERO) };
        unit.job = Some(number);
        if !unit.takes.is_zero() {
            unit.active_state = if verb == Verb::Start { "activating" } else { "deactivating" }.to_owned();
        }
        (number, unit.takes)
    }

    /// Ends a job: its result, and after how long the unit dies if it does.
    pub(super) fn end_job(&mut self, verb: Verb, name: &str, number: u32) -> (&'static str, Option<Duration>) {
        let id = self.next_invocation_id();
        let Some(unit) = self.units.get_mut(name) else { return ("failed", None) };
        if unit.job != Some(number) {
            return ("canceled", None);
        }
        unit.job = None;
        match (&unit.outcome, verb) {
            (JobOutcome::Nothing, _) => {
                unit.active_state = "active".to_owned();
                return ("done", None);
            }
            (_, Verb::Stop) => {
                unit.stopped();
                return ("done", None);
            }
            (JobOutcome::Failed, _) => {
                unit.invocation_id = id;
                unit.failed("exit-code");
                return ("failed", None);
            }
            _ => unit.started(id),
        }
        match unit.outcome {
            JobOutcome::Dies(after) => ("done", Some(after)),
            _ => ("done", None),
        }
    }
}
