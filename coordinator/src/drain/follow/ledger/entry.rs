//! One pod in the ledger: its state, and when its next action is due.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use usher_core::drain::Escalation;

use crate::{
    drain::{
        report::{EscalatedPod, Owner, PodRef},
        select::PodFacts,
    },
    text::took,
};

/// How a pod leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// It is evicted.
    Evict,
    /// It ends by itself, then it is evicted.
    AwaitCompletion,
    /// Its Deployment starts another pod first, then removes it. If that is impossible, it is evicted.
    ReplaceFirst,
}

/// What to request from the server for a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Within its budgets.
    Evict,
    /// Regardless of budgets.
    Delete,
    /// Delete it once more, with a shorter grace period.
    Kill,
    /// Start another pod in its place.
    Replace,
}

/// A request that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) pod: PodRef,
    pub(crate) owner: Option<Owner>,
    pub(crate) action: Action,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) facts: PodFacts,
    /// Pods of lower groups go first.
    pub(super) group: usize,
    pub(super) state: State,
    /// Whether to start another pod first; false once that was tried.
    pub(super) replace: bool,
    /// Tries in a row that got no decision from the server.
    pub(super) unanswered: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// It must end by itself first.
    Finishing,
    /// Its eviction is due at `at`; `blocked` if the last decision was that a budget or a webhook forbids it.
    Due { at: Instant, blocked: Option<Blocked> },
    /// The request is in flight.
    InFlight { blocked: Option<Blocked> },
    /// Its Deployment starts another pod, and removes this one when that is ready.
    Replacing { deployment: String },
    /// It is terminating.
    Leaving { since: Instant, killed: bool },
    /// The server refuses its eviction for good, or it comes back however often it is evicted.
    Failed { message: String },
}

/// Who refuses a pod's eviction for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blocker {
    /// A disruption budget; None if the server did not name it.
    Budget(Option<String>),
    /// An admission webhook.
    Webhook(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blocked {
    pub(super) by: Blocker,
    pub(super) message: String,
    /// When the first refusal came, by the wall clock and by the runtime's clock.
    pub(super) since: Timestamp,
    pub(super) begun: Instant,
    /// When its eviction is tried again at the latest.
    pub(super) next_try: Timestamp,
}

impl Blocked {
    /// Whether this budget may be the one that refuses it.
    pub(super) fn may_be_by(&self, budget: &str) -> bool {
        matches!(&self.by, Blocker::Budget(name) if name.as_deref().is_none_or(|name| name == budget))
    }

    pub(super) fn is_by_budget(&self) -> bool {
        matches!(self.by, Blocker::Budget(_))
    }
}

impl Entry {
    pub(super) fn new(facts: PodFacts, group: usize, state: State, replace: bool) -> Self {
        Self { facts, group, state, replace, unanswered: 0 }
    }

    pub(super) fn blocked(&self) -> Option<&Blocked> {
        match &self.state {
            State::Due { blocked, .. } | State::InFlight { blocked } => blocked.as_ref(),
            _ => None,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. })
    }

    /// The next action and when it is due, if any is.
    pub(super) fn due(&self, escalation: Escalation) -> Option<(Instant, Action)> {
        // A limit beyond all clocks never ends.
        let after = |begun: Instant, limit: Option<Duration>| begun.checked_add(limit?);
        match &self.state {
            State::Due { at, .. } if self.replace => Some((*at, Action::Replace)),
            State::Due { at, blocked } => {
                // Only budgets may be passed over: a webhook's denial is the word of those who run the pod.
                let by_budget = blocked.as_ref().filter(|blocked| blocked.is_by_budget());
                let delete_at = by_budget.and_then(|it| after(it.begun, escalation.delete_after));
                Some(match delete_at {
                    Some(delete_at) if delete_at <= *at => (delete_at, Action::Delete),
                    _ => (*at, Action::Evict),
                })
            }
            State::Leaving { since, killed: false } => Some((after(*since, escalation.kill_after)?, Action::Kill)),
            _ => None,
        }
    }

    /// The request for an action, which is in flight from now on.
    pub(super) fn request(&mut self, action: Action) -> Request {
        match &mut self.state {
            State::Due { blocked, .. } => self.state = State::InFlight { blocked: blocked.take() },
            State::Leaving { killed, .. } => *killed = true,
            _ => {}
        }
        Request { pod: self.facts.pod.clone(), owner: self.facts.owner.clone(), action }
    }
}

/// A pod whose eviction is refused for now, and tried again after a pause; `before` if it was refused already.
pub(super) fn refused(
    before: Option<Blocked>,
    by: Blocker,
    message: String,
    pause: Duration,
    (now, clock): (Instant, Timestamp),
) -> State {
    // A budget counts from its own first refusal: what a webhook denied before is no reason to pass over a budget sooner.
    let before = before.filter(|before| before.is_by_budget() == matches!(by, Blocker::Budget(_)));
    let (since, begun) = before.map_or((clock, now), |before| (before.since, before.begun));
    let next_try = clock.saturating_add(pause).unwrap_or(clock);
    State::Due { at: now + pause, blocked: Some(Blocked { by, message, since, begun, next_try }) }
}

/// The report of a pod that was deleted although a budget blocked its eviction.
pub(super) fn deleted(pod: &PodRef, blocked: Option<&Blocked>, now: Instant) -> EscalatedPod {
    let why = blocked.map(|it| format!(" after {}: {}", took(now - it.begun), it.message)).unwrap_or_default();
    EscalatedPod { pod: pod.clone(), what: format!("deleted{why}") }
}

/// The report of a pod whose grace period was cut short.
pub(super) fn killed(pod: &PodRef, after: Duration) -> EscalatedPod {
    EscalatedPod { pod: pod.clone(), what: format!("killed {} after it was told to go", took(after)) }
}
