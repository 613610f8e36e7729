//! One pod in the books: what was done about it, and when the next thing is due.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    drain::{EscalatedPod, Escalation, Owner, PodRef, pods::PodFacts},
    words::took,
};

/// How a pod is to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drain) enum Way {
    /// It is evicted.
    Evict,
    /// It ends by itself, then it is evicted.
    Finish,
    /// Another one is started in its place first, and its controller takes it away. Where that cannot be: it is evicted.
    Replace,
}

/// What to ask of the server about a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drain) enum Ask {
    /// Evict it.
    Evict,
    /// Delete it, whatever a budget says.
    Delete,
    /// Cut its grace short: it was told to go long ago.
    Kill,
    /// Start another one in its place.
    Replace,
}

/// A call that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::drain) struct Call {
    pub(in crate::drain) pod: PodRef,
    pub(in crate::drain) owner: Option<Owner>,
    pub(in crate::drain) ask: Ask,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) facts: PodFacts,
    /// Pods of lower groups go first.
    pub(super) group: usize,
    pub(super) state: State,
    /// Whether another one is to be started first, if that was not tried yet.
    pub(super) replace: bool,
    /// Tries in a row to which the server gave no real answer.
    pub(super) unanswered: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// To end by itself.
    Finishing,
    /// To be evicted at `at`; `blocked` since a budget forbade it and as long as nothing else was answered.
    Due { at: Instant, blocked: Option<Blocked> },
    /// The eviction is in flight.
    Calling { blocked: Option<Blocked> },
    /// Its Deployment starts another one, and takes this one away when that is ready.
    Replacing { deployment: String },
    /// It was told to go.
    Leaving { since: Instant, killed: bool },
    /// It cannot be evicted.
    Failed { message: String },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blocked {
    pub(super) budget: Option<String>,
    pub(super) message: String,
    /// Since when, by the clocks on the wall and of the runtime.
    pub(super) since: Timestamp,
    pub(super) begun: Instant,
    /// When it is asked about again at the latest.
    pub(super) next_try: Timestamp,
}

impl Entry {
    pub(super) fn new(facts: PodFacts, group: usize, state: State, replace: bool) -> Self {
        Self { facts, group, state, replace, unanswered: 0 }
    }

    pub(super) fn blocked(&self) -> Option<&Blocked> {
        match &self.state {
            State::Due { blocked, .. } | State::Calling { blocked } => blocked.as_ref(),
            _ => None,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. })
    }

    /// When the server is to be asked, and what.
    pub(super) fn due(&self, escalation: Escalation) -> Option<(Instant, Ask)> {
        let after = |begun: Instant, limit: Option<Duration>| Some(begun + limit?);
        match &self.state {
            State::Due { at, .. } if self.replace => Some((*at, Ask::Replace)),
            State::Due { at, blocked } => {
                let patience_ends = blocked.as_ref().and_then(|it| after(it.begun, escalation.delete_after));
                // A server that named a time is not asked before it, whatever the question.
                Some(match patience_ends {
                    Some(ends) if ends <= *at => (ends, Ask::Delete),
                    _ => (*at, Ask::Evict),
                })
            }
            State::Leaving { since, killed: false } => Some((after(*since, escalation.kill_after)?, Ask::Kill)),
            _ => None,
        }
    }

    /// The call is made: it is in flight from now on.
    pub(super) fn call(&mut self, ask: Ask) -> Call {
        match &mut self.state {
            State::Due { blocked, .. } => self.state = State::Calling { blocked: blocked.take() },
            State::Leaving { killed, .. } => *killed = true,
            _ => {}
        }
        Call { pod: self.facts.pod.clone(), owner: self.facts.owner.clone(), ask }
    }
}

/// A pod was deleted although a budget forbade its eviction.
pub(super) fn deleted(pod: &PodRef, blocked: Option<&Blocked>, now: Instant) -> EscalatedPod {
    let why = blocked.map(|it| format!(" after {}: {}", took(now - it.begun), it.message)).unwrap_or_default();
    EscalatedPod { pod: pod.clone(), what: format!("deleted{why}") }
}

/// A pod's grace was cut short.
pub(super) fn killed(pod: &PodRef, after: Duration) -> EscalatedPod {
    EscalatedPod { pod: pod.clone(), what: format!("killed {} after it was told to go", took(after)) }
}
