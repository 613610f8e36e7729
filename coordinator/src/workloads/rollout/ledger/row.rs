//! One workload of a run.

use std::time::Duration;

use tokio::time::Instant;

use crate::workloads::rollout::{
    change::Change,
    outcome::{Ended, Entry, Named},
    workload::Workload,
};

pub(super) struct Row {
    pub(super) change: Change,
    /// As it was seen last.
    pub(super) workload: Workload,
    pub(super) state: State,
    pub(super) begun: Instant,
    /// When its numbers changed last.
    pub(super) moved: Instant,
    /// When it is looked into next.
    pub(super) look: Instant,
    /// Whether the server has taken the change.
    pub(super) changed: bool,
    /// Whether the passed deadline that its status tells of may be that of the rollout before: when a Deployment goes back to a
    /// ReplicaSet that it has already, its controller says so of the new one, too, until it sees progress
    /// (`kubernetes/pkg/controller/deployment/progress.go`).
    pub(super) stale: bool,
    /// What the watch has shown before the server had answered.
    pub(super) early: Option<Workload>,
    /// Whether the watch has shown it deleted.
    pub(super) gone: bool,
    pub(super) told: String,
    /// What the last look has found.
    pub(super) why: Vec<String>,
}

pub(super) enum State {
    Waiting,
    Beginning,
    UnderWay,
    /// It will have failed, once somebody has looked why.
    Failing {
        ended: Ended,
        what: String,
    },
    Ended {
        ended: Ended,
        why: Vec<String>,
        took: Duration,
    },
}

impl Row {
    pub(super) fn new(change: Change, now: Instant) -> Self {
        Self {
            workload: change.workload.clone(),
            change,
            state: State::Waiting,
            begun: now,
            moved: now,
            look: now,
            changed: false,
            stale: false,
            early: None,
            gone: false,
            told: String::new(),
            why: Vec::new(),
        }
    }

    /// What is to be known of a workload that somebody has changed again since.
    pub(super) fn overtaken(&self) -> Option<&'static str> {
        let is_ours = !self.changed || self.workload.restarted_at == self.change.restarted_at;
        (!is_ours).then_some("somebody else restarted it, or took it back, meanwhile")
    }

    pub(super) fn close(self, now: Instant) -> Entry {
        let (ended, why, took) = match self.state {
            State::Waiting => (Ended::NotBegun, Vec::new(), Duration::ZERO),
            State::Ended { ended, why, took } => (ended, why, took),
            State::Failing { ended, what } => (ended, vec![what], now - self.begun),
            State::Beginning | State::UnderWay => (Ended::UnderWay, vec![self.told], now - self.begun),
        };
        Entry { workload: self.workload, changed: self.changed, ended, seconds: took.as_secs_f64(), why }
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.state, State::Beginning | State::UnderWay | State::Failing { .. })
    }

    pub(super) fn named(&self) -> Named {
        Named::from(&self.workload.id)
    }
}
