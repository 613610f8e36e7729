//! The record of an operation: one durable, named change of the node. Plain data, in the form in which it is stored.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use usher_common::clock;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// The idempotency key that the caller chose.
    pub(crate) id: String,
    /// Its place in the node's history, whatever the clock said. 0 for those of agents that knew only the clock.
    #[serde(default)]
    pub(crate) sequence: u64,
    pub(crate) change: Change,
    pub(crate) order: Order,
    /// The names in the caller's certificate.
    pub(crate) caller: Vec<String>,
    /// The SHA-256 of that certificate. Empty in records of older agents, and behind a door without certificates.
    #[serde(default)]
    pub(crate) caller_fingerprint: String,
    /// The boot in which it was accepted.
    pub(crate) boot_id: String,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    /// How far it has come, for an agent that finds it on disk.
    pub(crate) progress: Progress,
    pub(crate) state: State,
    pub(crate) steps: Vec<Step>,
    pub(crate) evidence: Evidence,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Change {
    RestartUnit {
        unit: String,
        expected_invocation_id: String,
    },
    StopUnit {
        unit: String,
        expected_invocation_id: String,
        /// How long after the stop the agent starts the unit again by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_again_after: Option<SignedDuration>,
    },
    /// Does nothing if the unit is active.
    StartUnit {
        unit: String,
    },
    RebootNode {
        expected_boot_id: String,
        /// Names of inhibitors and users (`user:NAME`) to ignore.
        override_blockers: BTreeSet<String>,
    },
}

impl Change {
    /// The unit that it changes, `None` for a reboot.
    pub(crate) fn unit(&self) -> Option<&str> {
        match self {
            Self::RestartUnit { unit, .. } | Self::StopUnit { unit, .. } | Self::StartUnit { unit } => Some(unit),
            Self::RebootNode { .. } => None,
        }
    }

    /// The name of its RPC.
    pub(crate) fn call(&self) -> &'static str {
        match self {
            Self::RestartUnit { .. } => "RestartUnit",
            Self::StopUnit { .. } => "StopUnit",
            Self::StartUnit { .. } => "StartUnit",
            Self::RebootNode { .. } => "RebootNode",
        }
    }

    /// The change for people: `restart kube-scheduler.service`, `reboot`.
    pub(crate) fn description(&self) -> String {
        match self {
            Self::RestartUnit { unit, .. } => format!("restart {unit}"),
            Self::StopUnit { unit, .. } => format!("stop {unit}"),
            Self::StartUnit { unit } => format!("start {unit}"),
            Self::RebootNode { .. } => "reboot".to_owned(),
        }
    }
}

/// Who requested a change, why, and under which lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The fencing token: the transitions of the coordinator's lock.
    pub(crate) epoch: u64,
    pub(crate) reason: String,
    /// The ticket, or empty.
    pub(crate) task_id: String,
    /// The person, by the caller's account.
    pub(crate) requester: String,
    /// Check only, and change nothing.
    #[serde(skip)]
    pub(crate) dry_run: bool,
    /// The node that the call is meant for, or empty.
    #[serde(skip)]
    pub(crate) node: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Accepted and stored. systemd may or may not have been asked.
    Accepted,
    /// systemd has the job.
    Job {
        path: String,
        at: Timestamp,
        /// [`crate::machine::Machine::uptime`] at the same time, which a change of the clock does not move.
        #[serde(default)]
        uptime: Option<SignedDuration>,
    },
    /// The unit is active, and its probe may be running.
    Active {
        /// When systemd got the job, or, if there was none, when the operation started.
        at: Timestamp,
        /// As for the job.
        #[serde(default)]
        uptime: Option<SignedDuration>,
    },
    /// login1 was or is being asked.
    RebootAsked,
}

/// Whether an operation has ended, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum State {
    Running,
    Succeeded,
    Failed(Failure),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
    /// The last lines of the unit's journal, oldest first; empty if no unit is involved.
    pub(crate) journal: Vec<String>,
}

/// The kinds of failure; the contract explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    Job,
    Probe,
    Interrupted,
    Systemd,
    NotRebooted,
    Refused,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) at: Timestamp,
    /// One of the step names of the contract.
    pub(crate) name: String,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) invocation_id_before: String,
    pub(crate) invocation_id_after: String,
    pub(crate) boot_id_before: String,
    pub(crate) boot_id_after: String,
    /// From systemd's accepting the job to the first healthy response that counted.
    pub(crate) unit_took: Option<SignedDuration>,
}

impl Operation {
    /// An operation that starts now.
    pub(crate) fn new(id: String, change: Change, order: Order, caller: Vec<String>, boot_id: String) -> Self {
        let started_at = clock::now();
        let mut operation = Self {
            id,
            sequence: 0,
            change,
            order,
            caller,
            caller_fingerprint: String::new(),
            boot_id,
            started_at,
            ended_at: None,
            progress: Progress::Accepted,
            state: State::Running,
            steps: Vec::new(),
            evidence: Evidence::default(),
        };
        operation.step("accepted", format!("accepted: {}", operation.change.description()));
        operation
    }

    /// Who requested it, for people: the person they claim to be, and the name that their certificate proves.
    pub(crate) fn requested_by(&self) -> String {
        match (self.order.requester.as_str(), self.caller.join(", ")) {
            ("", caller) => caller,
            (requester, caller) => format!("{requester} ({caller})"),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Whether it is a start that found the unit active and had nothing to do.
    pub(crate) fn did_nothing(&self) -> bool {
        matches!(self.change, Change::StartUnit { .. })
            && self.state == State::Succeeded
            && !self.steps.iter().any(|step| step.name == "job")
    }

    /// Appends something that happened now.
    pub(crate) fn step(&mut self, name: &str, message: impl Into<String>) {
        self.steps.push(Step { at: clock::now(), name: name.to_owned(), message: message.into() });
    }

    pub(crate) fn succeed(&mut self) {
        self.ended_at = Some(clock::now());
        self.state = State::Succeeded;
    }

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
