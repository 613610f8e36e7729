//! The books of a drain: which pod is where, and what is to be done next. No I/O.
//!
//! ```text
//!            ┌────────── refused for now ──────────┐
//!            ▼                                     │
//!  taken → Due ──── call ────→ Calling ────────────┤
//!                                ├─ accepted ───→ Leaving ──┐
//!                                ├─ replaced ───→ Replacing ┤
//!                                └─ for good ───→ Failed    │
//!                     the watch: it has gone ───────────────┴──→ moved
//! ```

mod entry;
mod telling;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

pub(super) use self::entry::{Ask, Call, Way};
use self::entry::{Blocked, Entry, State, deleted, killed};
use super::{
    EscalatedPod, Escalation, MovedPod, PodRef, StayReason, StayingPod,
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

/// The books of one node's drain, by the UIDs of its pods.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<String, Entry>,
    escalation: Escalation,
    escalated: Vec<EscalatedPod>,
    moved: Vec<MovedPod>,
    /// Whether a pod that has gone had a claim to a volume.
    moved_claims: bool,
    /// Volumes of pods that have gone which the node still has.
    attached: Vec<String>,
    /// UIDs of pods that are no more. The watch lags behind answers and lists, and may still speak of them.
    past: BTreeSet<String>,
    stayed: BTreeMap<String, StayingPod>,
    /// What those claim: namespaces and names of PersistentVolumeClaims.
    stayed_claims: BTreeSet<(String, String)>,
    warnings: Vec<String>,
    trouble: Option<String>,
    /// UIDs of pods that are refused although their budget has counted an eviction of theirs.
    granted: BTreeSet<String>,
    /// Since when nobody refills budgets.
    not_refilled_since: Option<Timestamp>,
}

impl Ledger {
    /// Books in which pods that do not go in time are dealt with as the operator has asked for.
    pub(super) fn escalating(escalation: Escalation) -> Self {
        Self { escalation, ..Self::default() }
    }

    /// Whether this very pod is, or was, in the books.
    pub(super) fn knows(&self, uid: &str) -> bool {
        self.entries.contains_key(uid) || self.stayed.contains_key(uid) || self.past.contains(uid)
    }

    /// Takes a pod that is to go when no pod of an earlier group is left.
    pub(super) fn take(&mut self, facts: PodFacts, group: usize, way: Way, now: Instant) {
        let state = match way {
            Way::Finish if facts.phase != Phase::Finished => State::Finishing,
            _ => State::Due { at: now, blocked: None },
        };
        self.entries.insert(facts.pod.uid.clone(), Entry::new(facts, group, state, way == Way::Replace));
    }

    /// Takes a pod that stays.
    pub(super) fn leave_alone(&mut self, facts: PodFacts, reason: StayReason) {
        let PodFacts { pod, claims, .. } = facts;
        self.stayed_claims.extend(claims.into_iter().map(|claim| (pod.namespace.clone(), claim)));
        self.stayed.insert(pod.uid.clone(), StayingPod { pod, reason });
    }

    /// Takes what was let pass, in kubectl's words.
    pub(super) fn warn(&mut self, lines: Vec<String>) {
        self.warnings.extend(lines);
    }

    /// The watch has shown a pod that is in the books.
    pub(super) fn seen(&mut self, mut facts: PodFacts, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&facts.pod.uid) {
            // Whoever told it to go, it goes.
            let can_be_told = matches!(entry.state, State::Due { blocked: Some(_), .. } | State::Replacing { .. });
            if facts.deletion.is_some() && can_be_told {
                entry.state = State::Leaving { since: now, killed: false };
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
            self.moved_claims |= !facts.claims.is_empty();
            self.moved.push(MovedPod { pod: facts.pod, owner: facts.owner, asked });
        }
    }

    /// Waits no longer for pods whose grace ended longer than `limit` ago.
    pub(super) fn skip_overdue(&mut self, limit: Duration, clock: Timestamp) {
        let overdue = |entry: &&Entry| entry.is_leaving() && entry.facts.is_overdue(limit, clock);
        let overdue: Vec<_> = self.entries.values().filter(overdue).map(|entry| entry.facts.clone()).collect();
        for facts in overdue {
            self.entries.remove(&facts.pod.uid);
            self.leave_alone(facts, StayReason::LongDeleted);
        }
    }

    /// A whole list has been read: what is not in it is no more, and what is in it is there, whatever was said of it before.
    pub(super) fn reconcile(&mut self, listed: impl IntoIterator<Item = PodFacts>, now: Instant) {
        let listed: BTreeMap<_, _> = listed.into_iter().map(|facts| (facts.pod.uid.clone(), facts)).collect();
        let known = self.entries.keys().chain(self.stayed.keys());
        let missing: Vec<_> = known.filter(|uid| !listed.contains_key(*uid)).cloned().collect();
        missing.iter().for_each(|uid| self.gone(uid));
        for uid in listed.keys().filter(|uid| self.past.remove(*uid)).collect::<Vec<_>>() {
            self.moved.retain(|moved| moved.pod.uid != *uid);
        }
        listed.into_values().for_each(|facts| self.seen(facts, now));
    }

    /// The next pod whose time has come; its call is in flight from now on.
    pub(super) fn next_call(&mut self, now: Instant) -> Option<Call> {
        let (group, escalation) = (self.group(), self.escalation);
        let turn = self.entries.values_mut().filter(|entry| entry.group == group);
        let due = turn.filter_map(|entry| entry.due(escalation).map(|(at, ask)| (at, ask, entry)));
        let (_, ask, entry) = due.filter(|(at, ..)| *at <= now).min_by_key(|(at, ..)| *at)?;
        Some(entry.call(ask))
    }

    /// When the next call is due, if one is put off.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let group = self.group();
        let turn = self.entries.values().filter(|entry| entry.group == group);
        turn.filter_map(|entry| entry.due(self.escalation)).map(|(at, _)| at).min()
    }

    /// The answer to what was asked about a pod.
    pub(super) fn answered(&mut self, uid: &str, ask: Ask, outcome: Outcome, now: Instant, clock: Timestamp) {
        if outcome == Outcome::Gone {
            self.gone(uid);
        }
        // The watch may have been faster.
        let Some(entry) = self.entries.get_mut(uid) else { return };
        if let State::Leaving { since, .. } = &entry.state {
            // It may also have been told to go while an eviction was in flight, whose answer says no more than that then.
            if ask == Ask::Kill {
                let since = *since;
                self.killed(uid, since, outcome, now);
            }
            return;
        }
        let blocked = match &mut entry.state {
            State::Calling { blocked } => blocked.take(),
            _ => None,
        };
        entry.replace &= matches!(outcome, Outcome::Later { .. });
        let unanswered = std::mem::take(&mut entry.unanswered);
        let mut trouble = None;
        let mut others = None;
        entry.state = match outcome {
            Outcome::Accepted | Outcome::Gone => {
                if ask == Ask::Delete {
                    self.escalated.push(deleted(&entry.facts.pod, blocked.as_ref(), now));
                }
                State::Leaving { since: now, killed: false }
            }
            Outcome::Replacing { deployment } => State::Replacing { deployment },
            Outcome::Blocked { budget, message, retry_after } => {
                let at = now + retry_after.max(BLOCKED_PAUSE);
                others = budget.clone().map(|budget| (entry.facts.pod.clone(), budget, at));
                let (since, begun) = blocked.map_or((clock, now), |before| (before.since, before.begun));
                let next_try = clock.saturating_add(at - now).unwrap_or(clock);
                State::Due { at, blocked: Some(Blocked { budget, message, since, begun, next_try }) }
            }
            Outcome::NamespaceTerminating if entry.facts.deletion.is_some() => {
                State::Leaving { since: now, killed: false }
            }
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

    /// The answer to a pod's second notice.
    fn killed(&mut self, uid: &str, since: Instant, outcome: Outcome, now: Instant) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        match outcome {
            Outcome::Accepted => self.escalated.push(killed(&entry.facts.pod, now - since)),
            // Once more, when its time would have come if it had been told to go a pause later.
            Outcome::Later { message, retry_after } => {
                let wait = retry_after.max(pause(0));
                let since = (now + wait).checked_sub(self.escalation.kill_after.unwrap_or_default()).unwrap_or(now);
                entry.state = State::Leaving { since, killed: false };
                self.trouble = Some(message);
            }
            Outcome::Failed { message } => {
                self.warnings.push(format!("{} could not be killed: {message}", entry.facts.pod));
            }
            _ => {}
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
        self.note_granted(news);
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

    /// Keeps whose eviction the budget has counted although the pod was refused since. One that is being asked about may have
    /// been counted just now.
    fn note_granted(&mut self, news: &BudgetNews) {
        let by_it = |it: &Blocked| it.budget.as_ref().is_none_or(|name| *name == news.name);
        let refused = self.entries.values().filter(|entry| {
            matches!(&entry.state, State::Due { blocked: Some(it), .. } if by_it(it))
                && entry.facts.pod.namespace == news.namespace
        });
        for entry in refused {
            let uid = entry.facts.pod.uid.clone();
            match news.granted.contains(&entry.facts.pod.name) {
                true => self.granted.insert(uid),
                false => self.granted.remove(&uid),
            };
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

    /// Whether a pod that has gone had a volume.
    pub(super) fn moved_volumes(&self) -> bool {
        self.moved_claims
    }

    /// What the pods claim that stay: namespaces and names of PersistentVolumeClaims.
    pub(super) fn claims_of_staying(&self) -> &BTreeSet<(String, String)> {
        &self.stayed_claims
    }

    /// Volumes that the node still has although their pods have gone.
    pub(super) fn attached(&mut self, volumes: Vec<String>) {
        self.attached = volumes;
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
        let will_be_deleted = self.escalation.delete_after.is_some();
        let settled = |entry: &Entry| match entry.state {
            State::Failed { .. } => true,
            State::Due { blocked: Some(_), .. } => !will_be_deleted,
            _ => false,
        };
        failed && turn().all(settled)
    }
}

fn pause(unanswered: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(unanswered)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
