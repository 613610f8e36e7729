//! The books of a drain: which pod is where, and what is to be done next. No I/O.
//!
//! ```text
//!            ┌────────── refused for now ──────────┐
//!            ▼                                     │
//!  taken → Due ──── call ────→ Calling ────────────┤
//!            │                   ├─ accepted ──→ Leaving ──┐
//!            │                   └─ for good ──→ Failed    │
//!            └───────────── the watch: it has gone ────────┴──→ moved
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    BlockedPod, DrainProgress, FailedPod, MovedPod, PodRef, Remains, StayReason, StayingPod,
    budget_watch::{BudgetNews, Room},
    evict::Outcome,
    pods::{Phase, PodFacts},
};

/// Between two tries of an eviction that a budget forbids, if no news of the budget comes first. Only where budgets may not
/// be watched, or a watch is broken, does it decide anything.
const BLOCKED_PAUSE: Duration = Duration::from_secs(5);

/// Between two tries while the server is busy or away. Grows with each try up to the second one, so that an apiserver that
/// comes back is not met by all pods at once forever.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Between two tries in a namespace that is being deleted: its controller works through it within seconds.
const TERMINATING_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Entry {
    facts: PodFacts,
    /// Pods of lower groups go first.
    group: usize,
    state: State,
    /// Tries in a row to which the server gave no real answer.
    unanswered: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// To end by itself.
    Finishing,
    /// To be evicted at `at`; `blocked` since a budget forbade it and as long as nothing else was answered.
    Due { at: Instant, blocked: Option<Blocked> },
    /// The eviction is in flight.
    Calling { blocked: Option<Blocked> },
    /// It was told to go.
    Leaving,
    /// It cannot be evicted.
    Failed { message: String },
}

impl Entry {
    fn blocked(&self) -> Option<&Blocked> {
        match &self.state {
            State::Due { blocked, .. } | State::Calling { blocked } => blocked.as_ref(),
            State::Finishing | State::Leaving | State::Failed { .. } => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Blocked {
    budget: Option<String>,
    message: String,
    since: Timestamp,
}

/// The books of one node's drain, by the UIDs of its pods.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<String, Entry>,
    moved: Vec<MovedPod>,
    /// UIDs of pods that are no more. The watch lags behind the lists, and may still speak of them.
    past: BTreeSet<String>,
    stayed: BTreeMap<String, StayingPod>,
    warnings: Vec<String>,
    trouble: Option<String>,
    /// Since when nobody refills budgets.
    not_refilled_since: Option<Timestamp>,
}

impl Ledger {
    /// Whether this very pod is, or was, in the books.
    pub(super) fn knows(&self, uid: &str) -> bool {
        self.entries.contains_key(uid) || self.stayed.contains_key(uid) || self.past.contains(uid)
    }

    /// Takes a pod that is to be evicted when no pod of an earlier group is left; `awaited` ones end by themselves first.
    pub(super) fn take_so(&mut self, facts: PodFacts, group: usize, awaited: bool, now: Instant) {
        let state = match awaited && facts.phase != Phase::Finished {
            true => State::Finishing,
            false => State::Due { at: now, blocked: None },
        };
        self.entries.insert(facts.pod.uid.clone(), Entry { facts, group, state, unanswered: 0 });
    }

    /// Takes a pod that stays.
    pub(super) fn leave_alone(&mut self, pod: StayingPod) {
        self.stayed.insert(pod.pod.uid.clone(), pod);
    }

    /// Takes what was let pass, in kubectl's words.
    pub(super) fn warn(&mut self, lines: Vec<String>) {
        self.warnings.extend(lines);
    }

    /// The watch has shown a pod that is in the books.
    pub(super) fn seen(&mut self, mut facts: PodFacts, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&facts.pod.uid) {
            // Whoever told it to go, it goes.
            if facts.deletion.is_some() && matches!(entry.state, State::Due { blocked: Some(_), .. }) {
                entry.state = State::Leaving;
            }
            if facts.phase == Phase::Finished && entry.state == State::Finishing {
                entry.state = State::Due { at: now, blocked: None };
            }
            // What a budget says of a pod depends on whether it is ready.
            if facts.ready != entry.facts.ready
                && let State::Due { at, blocked: Some(_) } = &mut entry.state
            {
                *at = now.min(*at);
            }
            // The kubelet shortens the grace to nothing at the end, which hides when it began.
            if let (Some(before), Some(again)) = (entry.facts.deletion, &mut facts.deletion) {
                again.asked = again.asked.min(before.asked);
            }
            entry.facts = facts;
        }
    }

    /// A pod is no more.
    pub(super) fn gone(&mut self, uid: &str) {
        self.stayed.remove(uid);
        self.past.insert(uid.to_owned());
        if let Some(Entry { facts, .. }) = self.entries.remove(uid) {
            let asked = facts.deletion.map(|deletion| deletion.asked);
            self.moved.push(MovedPod { pod: facts.pod, owner: facts.owner, asked });
        }
    }

    /// Waits no longer for pods whose grace ended longer than `limit` ago.
    pub(super) fn skip_overdue(&mut self, limit: Duration, clock: Timestamp) {
        let overdue = |entry: &&Entry| entry.state == State::Leaving && entry.facts.is_overdue(limit, clock);
        let overdue: Vec<_> = self.entries.values().filter(overdue).map(|entry| entry.facts.pod.clone()).collect();
        for pod in overdue {
            self.entries.remove(&pod.uid);
            self.leave_alone(StayingPod { pod, reason: StayReason::LongDeleted });
        }
    }

    /// A whole list has been read: what is not in it is no more.
    pub(super) fn reconcile(&mut self, listed: impl IntoIterator<Item = PodFacts>, now: Instant) {
        let listed: BTreeMap<_, _> = listed.into_iter().map(|facts| (facts.pod.uid.clone(), facts)).collect();
        let known = self.entries.keys().chain(self.stayed.keys());
        let missing: Vec<_> = known.filter(|uid| !listed.contains_key(*uid)).cloned().collect();
        missing.iter().for_each(|uid| self.gone(uid));
        listed.into_values().for_each(|facts| self.seen(facts, now));
    }

    /// The next pod whose time has come; its call is in flight from now on.
    pub(super) fn next_call(&mut self, now: Instant) -> Option<PodRef> {
        let group = self.group();
        let due =
            |entry: &&mut Entry| entry.group == group && matches!(entry.state, State::Due { at, .. } if at <= now);
        let entry = self.entries.values_mut().filter(due).min_by_key(|entry| match entry.state {
            State::Due { at, .. } => at,
            _ => now,
        })?;
        if let State::Due { blocked, .. } = &mut entry.state {
            entry.state = State::Calling { blocked: blocked.take() };
        }
        Some(entry.facts.pod.clone())
    }

    /// When the next call is due, if one is put off.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let group = self.group();
        let turn = self.entries.values().filter(|entry| entry.group == group);
        let due = turn.filter_map(|entry| match entry.state {
            State::Due { at, .. } => Some(at),
            _ => None,
        });
        due.min()
    }

    /// The answer to a pod's eviction.
    pub(super) fn answered(&mut self, uid: &str, outcome: Outcome, now: Instant, clock: Timestamp) {
        if outcome == Outcome::Gone {
            self.gone(uid);
        }
        // The watch may have been faster.
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let blocked = match &mut entry.state {
            State::Calling { blocked } => blocked.take(),
            _ => None,
        };
        let unanswered = std::mem::take(&mut entry.unanswered);
        let mut trouble = None;
        let mut others = None;
        entry.state = match outcome {
            Outcome::Accepted | Outcome::Gone => State::Leaving,
            Outcome::Blocked { budget, message, retry_after } => {
                let at = now + retry_after.max(BLOCKED_PAUSE);
                others = budget.clone().map(|budget| (entry.facts.pod.clone(), budget, at));
                let since = blocked.map_or(clock, |before| before.since);
                State::Due { at, blocked: Some(Blocked { budget, message, since }) }
            }
            Outcome::NamespaceTerminating if entry.facts.deletion.is_some() => State::Leaving,
            Outcome::NamespaceTerminating => State::Due { at: now + TERMINATING_PAUSE, blocked },
            Outcome::Later { message, retry_after } => {
                entry.unanswered = unanswered + 1;
                trouble = Some(message);
                State::Due { at: now + retry_after.max(pause(unanswered)), blocked }
            }
            Outcome::Failed { message } => State::Failed { message },
        };
        self.trouble = trouble;
        if let Some((refused, budget, until)) = others {
            self.put_off_others(&refused, &budget, until);
        }
    }

    /// The API could not be asked, or could be again.
    pub(super) fn trouble(&mut self, words: Option<String>) {
        self.trouble = words;
    }

    /// The namespaces in which a budget keeps a pod.
    pub(super) fn namespaces_with_blocked(&self) -> BTreeSet<&str> {
        let blocked = self.entries.values().filter(|entry| entry.blocked().is_some());
        blocked.map(|entry| entry.facts.pod.namespace.as_str()).collect()
    }

    /// A budget lets pods go, or says so again. As many as it has room for are asked for now: one more would be refused.
    pub(super) fn heard(&mut self, news: &BudgetNews, now: Instant) {
        let kept = self.entries.values_mut().filter(|entry| {
            let by_it =
                entry.blocked().is_some_and(|blocked| blocked.budget.as_ref().is_none_or(|it| *it == news.name));
            by_it && entry.facts.pod.namespace == news.namespace
        });
        let (mut put_off, asked): (Vec<_>, Vec<_>) =
            kept.partition(|entry| matches!(entry.state, State::Due { at, .. } if at > now));
        let room = match news.room {
            Room::For(pods) => pods.saturating_sub(asked.len()),
            Room::Unbounded => usize::MAX,
        };
        for entry in &mut put_off {
            if let (State::Due { blocked: Some(blocked), .. }, Some(words)) = (&mut entry.state, &news.words) {
                blocked.message.clone_from(words);
            }
        }
        put_off.sort_by(|a, b| a.facts.pod.cmp(&b.facts.pod));
        for entry in put_off.into_iter().take(room) {
            if let State::Due { at, .. } = &mut entry.state {
                *at = now;
            }
        }
    }

    /// What one pod of a budget was refused, the others need not ask: it asks again first, for all.
    fn put_off_others(&mut self, refused: &PodRef, budget: &str, until: Instant) {
        let others = self.entries.values_mut().filter(|entry| entry.facts.pod != *refused);
        for entry in others.filter(|entry| entry.facts.pod.namespace == refused.namespace) {
            if let State::Due { at, blocked: Some(blocked) } = &mut entry.state
                && blocked.budget.as_deref() == Some(budget)
            {
                *at = (until + BLOCKED_PAUSE).max(*at);
            }
        }
    }

    /// Budgets are given their room back, or nobody is there to do it.
    pub(super) fn refilled(&mut self, refilled: bool, clock: Timestamp) {
        self.not_refilled_since = match refilled {
            true => None,
            false => self.not_refilled_since.or(Some(clock)),
        };
    }

    /// Whether every pod that can be evicted has gone, as far as is known.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The group whose turn it is: the first that has a pod left.
    fn group(&self) -> usize {
        self.entries.values().map(|entry| entry.group).min().unwrap_or_default()
    }

    /// Whether some pod has failed for good and nothing is left to be done for the others but to wait for budgets.
    pub(super) fn is_hopeless(&self) -> bool {
        let group = self.group();
        let turn = || self.entries.values().filter(|entry| entry.group == group);
        let failed = turn().any(|entry| matches!(entry.state, State::Failed { .. }));
        let settled = |entry: &Entry| matches!(entry.state, State::Failed { .. } | State::Due { blocked: Some(_), .. });
        failed && turn().all(settled)
    }

    pub(super) fn progress(&self) -> DrainProgress {
        let leaving = self.entries.values().filter(|entry| entry.state == State::Leaving).count();
        DrainProgress {
            total: self.entries.len() + self.moved.len(),
            gone: self.moved.len(),
            leaving,
            blocked: self.blocked(),
            failed: self.failed(),
            finishing: self.entries.values().filter(|entry| entry.state == State::Finishing).count(),
            staying: self.stayed.len(),
            warnings: self.warnings.clone(),
            trouble: self.trouble.clone(),
            not_refilled_since: self.not_refilled_since,
        }
    }

    pub(super) fn remains(&self) -> Remains {
        let pods = |wanted: fn(&State) -> bool| {
            let entries = self.entries.values().filter(|entry| wanted(&entry.state));
            let mut pods: Vec<_> = entries.map(|entry| entry.facts.pod.clone()).collect();
            pods.sort();
            pods
        };
        Remains {
            moved: self.moved.clone(),
            leaving: pods(|state| *state == State::Leaving),
            blocked: self.blocked(),
            failed: self.failed(),
            not_refilled_since: self.not_refilled_since,
            finishing: pods(|state| *state == State::Finishing),
            waiting: pods(|state| matches!(state, State::Due { blocked: None, .. } | State::Calling { blocked: None })),
        }
    }

    fn blocked(&self) -> Vec<BlockedPod> {
        let blocked = self.entries.values().filter_map(|entry| {
            let Blocked { budget, message, since } = entry.blocked()?.clone();
            Some(BlockedPod { pod: entry.facts.pod.clone(), budget, message, since })
        });
        let mut blocked: Vec<_> = blocked.collect();
        blocked.sort_by(|a, b| a.pod.cmp(&b.pod));
        blocked
    }

    fn failed(&self) -> Vec<FailedPod> {
        let failed = self.entries.values().filter_map(|entry| match &entry.state {
            State::Failed { message } => Some(FailedPod { pod: entry.facts.pod.clone(), message: message.clone() }),
            _ => None,
        });
        let mut failed: Vec<_> = failed.collect();
        failed.sort_by(|a, b| a.pod.cmp(&b.pod));
        failed
    }

    /// The books of a drain that is done.
    pub(super) fn close(self, took: Duration) -> super::Drained {
        let mut stayed: Vec<_> = self.stayed.into_values().collect();
        stayed.sort_by(|a, b| a.pod.cmp(&b.pod));
        super::Drained { moved: self.moved, stayed, warnings: self.warnings, took }
    }
}

fn pause(unanswered: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(unanswered)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
