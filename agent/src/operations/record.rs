//! An operation: one durable, named change of the node. Plain data, as it lies on disk.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use usher_common::clock;

/// One operation, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// Chosen by the caller.
    pub(crate) id: String,
    /// What is to be done.
    pub(crate) change: Change,
    /// Who asked, why, under which lock.
    pub(crate) order: Order,
    /// The names in the caller's certificate.
    pub(crate) caller: Vec<String>,
    /// The boot in which it began.
    pub(crate) boot_id: String,
    /// When it was accepted.
    pub(crate) started_at: Timestamp,
    /// When it ended.
    pub(crate) ended_at: Option<Timestamp>,
    /// How far it has come: what an agent that finds it on disk needs to know.
    pub(crate) progress: Progress,
    /// Whether it has ended, and how.
    pub(crate) state: State,
    /// What has happened, in order.
    pub(crate) steps: Vec<Step>,
    /// Identities before and after.
    pub(crate) evidence: Evidence,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Change {
    /// Restarts a unit that runs under the expected InvocationID.
    RestartUnit {
        /// The unit.
        unit: String,
        /// The InvocationID to be replaced.
        expected_invocation_id: String,
    },
    /// Stops a unit that has the expected InvocationID.
    StopUnit {
        /// The unit.
        unit: String,
        /// The InvocationID to be ended.
        expected_invocation_id: String,
    },
    /// Starts a unit unless it runs.
    StartUnit {
        /// The unit.
        unit: String,
    },
    /// Reboots the node.
    RebootNode {
        /// The boot id to be ended.
        expected_boot_id: String,
        /// Names of inhibitors and users (`user:NAME`) that do not forbid it.
        override_blockers: BTreeSet<String>,
    },
}

impl Change {
    /// The unit it is about, `None` for a reboot.
    pub(crate) fn unit(&self) -> Option<&str> {
        match self {
            Self::RestartUnit { unit, .. } | Self::StopUnit { unit, .. } | Self::StartUnit { unit } => Some(unit),
            Self::RebootNode { .. } => None,
        }
    }

    /// The name of the call that asks for it.
    pub(crate) fn call(&self) -> &'static str {
        match self {
            Self::RestartUnit { .. } => "RestartUnit",
            Self::StopUnit { .. } => "StopUnit",
            Self::StartUnit { .. } => "StartUnit",
            Self::RebootNode { .. } => "RebootNode",
        }
    }

    /// What it does, for people: `restart kube-scheduler.service`, `reboot`.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::RestartUnit { unit, .. } => format!("restart {unit}"),
            Self::StopUnit { unit, .. } => format!("stop {unit}"),
            Self::StartUnit { unit } => format!("start {unit}"),
            Self::RebootNode { .. } => "reboot".to_owned(),
        }
    }
}

/// Who asks for a change, why, and under which lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The transitions of the coordinator's lock.
    pub(crate) epoch: u64,
    /// Why.
    pub(crate) reason: String,
    /// The ticket, may be empty.
    pub(crate) task_id: String,
    /// The person, as the caller tells it.
    pub(crate) requester: String,
    /// Checks only.
    #[serde(skip)]
    pub(crate) dry_run: bool,
}

/// How far an operation has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Accepted and stored. Whether systemd was asked is not known from this alone.
    Accepted,
    /// systemd took the job.
    Job {
        /// The job's object path.
        path: String,
        /// When.
        at: Timestamp,
    },
    /// The unit is active; it is being probed.
    Active {
        /// When systemd took the job, or the operation began if there was none to take.
        at: Timestamp,
    },
    /// login1 is being asked, or was.
    RebootAsked,
}

/// Whether an operation has ended, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum State {
    /// It goes on.
    Running,
    /// What was asked for is so.
    Succeeded,
    /// It is not so.
    Failed(Failure),
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// For programs.
    pub(crate) kind: FailureKind,
    /// For people.
    pub(crate) message: String,
    /// The last lines of the unit's journal, oldest first.
    pub(crate) journal: Vec<String>,
}

/// Kinds of failure; the contract says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub(crate) enum FailureKind {
    Job,
    Probe,
    Interrupted,
    Systemd,
    NotRebooted,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// When.
    pub(crate) at: Timestamp,
    /// A word of the contract.
    pub(crate) name: String,
    /// For people.
    pub(crate) message: String,
}

/// Identities before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// The unit's InvocationID before.
    pub(crate) invocation_id_before: String,
    /// The unit's InvocationID after.
    pub(crate) invocation_id_after: String,
    /// The boot id before a reboot.
    pub(crate) boot_id_before: String,
    /// The boot id after it.
    pub(crate) boot_id_after: String,
    /// From systemd's taking the job to the first answer of the probe that counted.
    pub(crate) unit_took: Option<SignedDuration>,
}

impl Operation {
    /// An operation that begins now.
    pub(crate) fn new(id: String, change: Change, order: Order, caller: Vec<String>, boot_id: String) -> Self {
        let started_at = clock::now();
        let mut operation = Self {
            id,
            change,
            order,
            caller,
            boot_id,
            started_at,
            ended_at: None,
            progress: Progress::Accepted,
            state: State::Running,
            steps: Vec::new(),
            evidence: Evidence::default(),
        };
        operation.step("accepted", format!("accepted: {}", operation.change.words()));
        operation
    }

    /// Whether it goes on.
    pub(crate) fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Notes something that happened now.
    pub(crate) fn step(&mut self, name: &str, message: impl Into<String>) {
        self.steps.push(Step { at: clock::now(), name: name.to_owned(), message: message.into() });
    }

    /// Ends it well.
    pub(crate) fn succeed(&mut self) {
        self.ended_at = Some(clock::now());
        self.state = State::Succeeded;
    }

    /// Ends it badly.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.step("failed", failure.message.clone());
        self.ended_at = Some(clock::now());
        self.state = State::Failed(failure);
    }
}

/// Whether `id` may name an operation: 1 to 64 characters of `[A-Za-z0-9._-]`.
pub(crate) fn is_operation_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
