//! What became of a run of rollouts, and what was told on the way.

use serde::Serialize;

use super::{
    Kind,
    workload::{Workload, WorkloadId},
};

/// What became of one workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ended {
    /// Its pods are new, and available.
    Complete,
    /// It was changed, and nobody waits for it (`--no-wait`), or its controller does not replace pods.
    Begun,
    /// The change was refused, or the rollout failed.
    Failed,
    /// The time for all was over first.
    TimedOut,
    /// usher left before it was complete.
    UnderWay,
    /// It was not touched.
    NotBegun,
}

/// One workload of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// As it was seen last.
    pub workload: Workload,
    /// Whether the server has taken the change.
    pub changed: bool,
    pub ended: Ended,
    /// From the change until it ended.
    pub seconds: f64,
    /// Why it is not complete, or what is to be known about it; a line each.
    pub why: Vec<String>,
}

/// Why a run began no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Failures,
    TimedOut,
    Interrupted,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// In the order of the changes.
    pub entries: Vec<Entry>,
    /// None: nothing stopped it.
    pub stop: Option<Stop>,
}

impl Outcome {
    /// Those that ended so.
    pub fn that(&self, ended: Ended) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.ended == ended)
    }
}

/// Something that happened on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A workload was changed.
    Began {
        #[serde(flatten)]
        workload: Named,
        number: usize,
        of: usize,
    },
    /// What it waits for, or why it does not come along.
    Waiting {
        #[serde(flatten)]
        workload: Named,
        what: String,
        why: Vec<String>,
    },
    Ended {
        #[serde(flatten)]
        workload: Named,
        ended: Ended,
        seconds: f64,
        why: Vec<String>,
    },
}

/// A workload in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    pub namespace: String,
    pub kind: Kind,
    pub name: String,
}

impl From<&WorkloadId> for Named {
    fn from(id: &WorkloadId) -> Self {
        let WorkloadId { namespace, kind, name } = id.clone();
        Self { namespace, kind, name }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.namespace, self.kind, self.name)
    }
}
