//! What agents tell, as plain data. The names are those of the contract, which explains them in full.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use usher_common::host::is_same_host;

use super::local::{OwnedHold, UnannouncedStart, WantedRestart};

/// Who asks for a change, why, and under which lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The idempotency key: 1 to 64 characters of `[A-Za-z0-9._-]`.
    pub operation_id: String,
    /// The transitions of the coordinator's lock; agents refuse a lower one than they have seen.
    pub epoch: u64,
    /// Why, in the operator's words; never empty.
    pub reason: String,
    /// The ticket this belongs to.
    pub task_id: Option<String>,
    /// The person, as `user@host`.
    pub requester: String,
    /// Check everything and change nothing.
    pub dry_run: bool,
}

/// A machine as its agent sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// The name in the agent's configuration.
    pub name: String,
    /// The machine's host name.
    pub hostname: String,
    /// Version of the agent.
    pub agent_version: String,
    /// Changes with each boot, and only then.
    pub boot_id: String,
    /// When this boot began.
    pub booted_at: Option<Timestamp>,
    /// The kernel that runs.
    pub kernel_running: String,
    /// The newest kernel that is installed, if the agent found one.
    pub kernel_installed: Option<String>,
    /// An update waits for a reboot.
    pub reboot_required: bool,
    /// The packages that ask for it.
    pub reboot_packages: Vec<String>,
    /// The units of the agent's configuration.
    pub units: Vec<UnitStatus>,
    /// Inhibitors of a shutdown.
    pub inhibitors: Vec<Inhibitor>,
    pub sessions: Vec<Session>,
    /// What forbids a reboot unless it is overridden, by the agent's own rule.
    pub blockers: Vec<Blocker>,
    /// Locks of what a reboot would interrupt: lock files of configuration management that exist, and dpkg's while it is held.
    pub lock_files: Vec<String>,
    /// A hold file that forbids changes.
    pub hold: Option<Hold>,
    /// Reboots of the last 24 hours.
    pub reboot_budget: RebootBudget,
    /// The highest epoch that the agent has seen.
    pub highest_epoch: u64,
    /// Until when the agent's certificate is valid.
    pub certificate_not_after: Option<Timestamp>,
    /// The operation that runs now.
    pub current_operation: Option<Task>,
    /// The agent's clock when it answered.
    pub now: Option<Timestamp>,
    /// What is wrong without keeping the agent from answering.
    pub warnings: Vec<String>,
    /// A shutdown that somebody has scheduled.
    pub scheduled_shutdown: Option<ScheduledShutdown>,
    /// Why the machine's login1 would not let the agent reboot it, if it would not.
    pub reboot_refused: Option<String>,
    /// The restarts that somebody on the machine waits for.
    #[serde(default)]
    pub wanted_restarts: Vec<WantedRestart>,
    /// The last starts of units and of the machine that no operation of the agent caused, oldest first.
    #[serde(default)]
    pub unannounced: Vec<UnannouncedStart>,
    /// The holds that were set through the agent; [`Self::hold`] tells of them too.
    #[serde(default)]
    pub holds: Vec<OwnedHold>,
    /// Another binary of the agent that is installed and does not run yet.
    pub replaced_binary: Option<ReplacedBinary>,
}

/// What an upgrade has put in the place of an agent's binary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplacedBinary {
    /// The version that it calls itself.
    pub version: Option<String>,
    /// When the agent noticed it.
    pub noticed_at: Option<Timestamp>,
    /// Why it would not start. Without, the agent executes it as soon as it is idle.
    pub problem: Option<String>,
}

impl AgentStatus {
    /// Whether the machine of this name says it, by the rule by which agents refuse an order. An agent without a name is believed.
    pub fn is_of(&self, machine: &str) -> bool {
        let names = [&self.name, &self.hostname];
        names.iter().all(|name| name.is_empty()) || names.iter().any(|name| is_same_host(name, machine))
    }

    /// The hold file on the machine, if nobody holds it through the agent: the agent tells of those in `hold` too, for older callers.
    pub fn held_by_file(&self) -> Option<&Hold> {
        self.hold.as_ref().filter(|_| self.holds.is_empty())
    }

    /// Whether somebody on the machine waits for a restart of this unit.
    pub fn wants_restart(&self, unit: &str) -> bool {
        self.wanted_restarts.iter().any(|wanted| wanted.unit == unit)
    }

    /// The unit with this name, if the agent manages it.
    pub fn unit(&self, name: &str) -> Option<&UnitStatus> {
        self.units.iter().find(|unit| unit.name == name)
    }
}

/// A systemd unit, in systemd's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitStatus {
    /// Name with suffix.
    pub name: String,
    /// `loaded`, `not-found`, …
    pub load_state: String,
    /// `active`, `failed`, …
    pub active_state: String,
    /// `running`, `dead`, …
    pub sub_state: String,
    /// New with each start; `None` if the unit did not run in this boot.
    pub invocation_id: Option<String>,
    /// Automatic restarts since it was last started by hand.
    pub restarts: u32,
    /// Its main process; 0 if none runs.
    pub main_pid: u32,
    /// When it became active last.
    pub active_since: Option<Timestamp>,
    /// Result of the last run: `success`, `exit-code`, …
    pub result: String,
    /// The URL that is probed after a start.
    pub probe_url: Option<String>,
    /// The unit file changed on disk since systemd read it.
    pub needs_daemon_reload: bool,
    /// The Debian package of its program, None if no package owns it or the agent is too old to say.
    pub package: Option<String>,
    /// That package's version, with epoch and revision.
    pub package_version: Option<String>,
    /// Another version of its program is installed than the one that runs.
    pub program_replaced: bool,
    /// `enabled`, `disabled`, `masked`, …; None without a unit file, or if the agent is too old to say.
    pub file_state: Option<String>,
}

impl UnitStatus {
    /// Whether it runs, by the rule that its agent applies: a unit that reloads does.
    pub fn is_active(&self) -> bool {
        usher_common::unit::is_active(&self.active_state)
    }

    /// Whether it is masked, also if systemd has not read that yet: it runs, but once stopped it cannot be started.
    pub fn is_masked(&self) -> bool {
        let masked = |state: &str| matches!(state, "masked" | "masked-runtime");
        masked(&self.load_state) || self.file_state.as_deref().is_some_and(masked)
    }

    /// The state of its unit file by which it runs now and will not start with the machine. `static` and the like start
    /// because others want them.
    pub fn gone_after_boot(&self) -> Option<&str> {
        const NOT_STARTED: [&str; 5] = ["disabled", "masked", "linked", "linked-runtime", "enabled-runtime"];
        self.file_state.as_deref().filter(|state| self.is_active() && NOT_STARTED.contains(state))
    }
}

/// An inhibitor of a shutdown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inhibitor {
    /// What it inhibits, as `shutdown:sleep`.
    pub what: String,
    pub who: String,
    pub why: String,
    /// `block` or `delay`.
    pub mode: String,
    /// User of the process that holds it.
    pub uid: u32,
    pub pid: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// login1's id of the session.
    pub id: String,
    pub user: String,
    pub uid: u32,
}

/// A shutdown of the machine with a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledShutdown {
    /// `poweroff`, `reboot`, `halt`, …
    #[serde(rename = "action")] // `kind` says of every document that usher prints what that document is
    pub kind: String,
    pub at: Option<Timestamp>,
    /// What the users are told.
    pub message: String,
}

impl ScheduledShutdown {
    /// In words: `reboot at 2026-03-02T03:00:00Z: kernel`.
    pub fn said(&self) -> String {
        let at = self.at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string());
        let message = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        format!("{} at {at}{message}", self.kind)
    }
}

/// Something that forbids a reboot, by the agent's own rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// The name that overrides it: an inhibitor's `who`, `user:NAME`, or `scheduled:KIND`.
    pub name: String,
    /// What kind of thing it is.
    pub kind: BlockerKind,
    /// What it is, for people.
    pub message: String,
}

/// The kinds of blockers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BlockerKind {
    /// One that this usher does not know, from a newer agent. It forbids a reboot like any other.
    #[default]
    Unknown,
    /// An inhibitor that does more than delay a shutdown.
    Inhibitor,
    User,
    /// A shutdown that somebody has scheduled.
    ScheduledShutdown,
}

/// What forbids changes on the machine: a file, or holds that were set through the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    pub path: String,
    pub text: String,
    /// When it was written.
    pub since: Option<Timestamp>,
}

/// Reboots through the agent within the last 24 hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RebootBudget {
    /// How many there were.
    pub used: u32,
    /// How many there may be.
    pub allowed: u32,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TaskKind {
    /// Something this usher does not know, from a newer agent.
    #[default]
    Unknown,
    RestartUnit,
    StopUnit,
    StartUnit,
    RebootNode,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TaskState {
    /// It has not ended.
    #[default]
    Running,
    /// It did what was asked, with proof.
    Succeeded,
    /// It did not; [`Task::failure`] says why.
    Failed,
}

/// A durable, named change of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The caller's id for it.
    pub id: String,
    #[serde(rename = "action")] // `kind` says of every document that usher prints what that document is
    pub kind: TaskKind,
    /// The unit, unless it is a reboot.
    pub unit: Option<String>,
    /// How far it is.
    pub state: TaskState,
    /// Who asked for it and why.
    pub order: Order,
    /// The names in the caller's certificate.
    pub caller: Vec<String>,
    /// SHA-256 of that certificate. `None` from an agent that is too old to say.
    #[serde(default)]
    pub caller_fingerprint: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// What happened so far.
    pub steps: Vec<TaskStep>,
    /// The proof.
    pub evidence: Evidence,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

impl Task {
    /// Whether nothing more will happen.
    pub fn has_ended(&self) -> bool {
        self.state != TaskState::Running
    }

    /// Whether it ended and did what was asked.
    pub fn has_succeeded(&self) -> bool {
        self.state == TaskState::Succeeded
    }
}

/// One thing that happened in an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStep {
    /// When, by the agent's clock.
    pub at: Option<Timestamp>,
    /// A word for programs: `accepted`, `job`, `probe`, `healthy`, …
    pub name: String,
    /// The same for people.
    pub message: String,
}

/// Identities before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The unit's InvocationID before.
    pub invocation_id_before: Option<String>,
    pub invocation_id_after: Option<String>,
    /// The machine's boot id before.
    pub boot_id_before: Option<String>,
    pub boot_id_after: Option<String>,
    /// How long the unit's own restart took, until its probe's first good answer.
    #[serde(rename = "unitTookSeconds", with = "crate::seconds::option")]
    pub unit_took: Option<Duration>,
}

/// Why an operation failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The kind, for programs.
    pub kind: FailureKind,
    /// The same for people.
    pub message: String,
    /// The last lines of the unit's journal, oldest first.
    pub journal: Vec<String>,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// One that this usher does not know, from a newer agent.
    #[default]
    Unknown,
    /// systemd's job did not end well, or the unit is not active after it.
    Job,
    /// The unit is active but did not become healthy in time.
    Probe,
    /// The agent was restarted before anything was done.
    Interrupted,
    /// systemd or logind could not be talked to; the evidence tells whether it was done.
    Systemd,
    /// The machine was told to reboot and still runs the same boot.
    NotRebooted,
    /// systemd or logind refused, or the unit had changed: nothing happened.
    Refused,
    /// Somebody ended it while it only waited; what it had asked for may have happened.
    Cancelled,
}
