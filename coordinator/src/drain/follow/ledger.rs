//! The ledger of a drain: the state of each pod, and the next action. No I/O.
//!
//! ```text
//!            ┌────────── refused for now ──────────┐
//!            ▼                                     │
//!  added → Due ── request ───→ InFlight ───────────┤
//!                                ├─ accepted ───→ Leaving ──┐
//!                                ├─ replaced ───→ Replacing ┤
//!                                └─ for good ───→ Failed    │
//!                     the watch: it has gone ───────────────┴──→ moved
//! ```

mod entry;
mod report;
mod returns;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;
use usher_core::drain::Escalation;

pub(crate) use self::entry::{Action, Request, Strategy};
use self::entry::{Blocked, Blocker, Entry, State, deleted, killed, refused};
use self::returns::Returns;
use super::{
    budgets::{Allowance, BudgetUpdate},
    volumes::MovedVolumes,
};
use crate::drain::{
    evict::Outcome,
    report::{EscalatedPod, MovedPod, PodRef, StayReason, StayingPod},
    select::{Claim, Phase, PodFacts},
};

/// The pause between tries of an eviction that a budget blocks, unless the budget changes first. It matters only where budgets
/// may not be watched, or a watch is broken.
const BLOCKED_PAUSE: Duration = Duration::from_secs(5);

/// The pause between tries while the server is busy or unreachable. It grows with each try, up to the longest, so that the
/// requests for many pods do not keep hitting a struggling apiserver together.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The pause between tries in a namespace that is being deleted: its controller deletes the pods within seconds.
const TERMINATING_PAUSE: Duration = Duration::from_secs(1);

/// The ledger of one node's drain.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By the pod's UID.
    entries: BTreeMap<String, Entry>,
    escalation: Escalation,
    escalated: Vec<EscalatedPod>,
    moved: Vec<MovedPod>,
    moved_volumes: MovedVolumes,
    /// Volumes still attached to the node although their pods have gone.
    attached: Vec<String>,
    /// UIDs of pods that no longer exist. The watch lags behind responses and lists, and may still mention them.
    past: BTreeSet<String>,
    /// By the pod's UID.
    stayed: BTreeMap<String, StayingPod>,
    stayed_claims: BTreeSet<Claim>,
    warnings: Vec<String>,
    trouble: Option<String>,
    /// UIDs of pods that are refused although their budget has counted an eviction of them.
    granted: BTreeSet<String>,
    /// Since when nobody has replenished budgets.
    not_refilled_since: Option<Timestamp>,
    /// By the controller's UID.
    returns: BTreeMap<String, Returns>,
}

impl Ledger {
    /// A ledger that escalates overdue pods as the operator asked.
    pub(crate) fn escalating(escalation: Escalation) -> Self {
        Self { escalation, ..Self::default() }
    }

    /// Whether this very pod is, or was, in the ledger.
    pub(crate) fn knows(&self, uid: &str) -> bool {
        self.entries.contains_key(uid) || self.stayed.contains_key(uid) || self.past.contains(uid)
    }

    /// Adds a pod that has to go once no pod of an earlier group is left. One whose controller has brought it back again and again is not
    /// evicted once more.
    pub(crate) fn add(&mut self, facts: PodFacts, group: usize, strategy: Strategy, now: Instant) {
        let comes_back = self.count_return(&facts);
        let state = match strategy {
            _ if comes_back.is_some() => State::Failed { message: comes_back.unwrap_or_default() },
            Strategy::AwaitCompletion if facts.phase != Phase::Finished => State::Finishing,
            _ => State::Due { at: now, blocked: None },
        };
        self.entries.insert(facts.pod.uid.clone(), Entry::new(facts, group, state, strategy == Strategy::ReplaceFirst));
    }

    /// Adds a pod that stays.
    pub(crate) fn add_staying(&mut self, facts: PodFacts, reason: StayReason) {
        self.stayed_claims.extend(facts.claimed());
        let pod = facts.pod;
        self.stayed.insert(pod.uid.clone(), StayingPod { pod, reason });
    }

    /// Adds warnings.
    pub(crate) fn warn(&mut self, lines: Vec<String>) {
        self.warnings.extend(lines);
    }

    /// A list or the watch has shown a pod. Ignores pods that are not in the ledger.
    pub(crate) fn update(&mut self, mut facts: PodFacts, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&facts.pod.uid) {
            // It goes, no matter who deleted it.
            let may_leave = matches!(entry.state, State::Due { blocked: Some(_), .. } | State::Replacing { .. });
            if facts.deletion.is_some() && may_leave {
                entry.state = State::Leaving { since: now, killed: false };
            }
            if facts.phase == Phase::Finished && entry.state == State::Finishing {
                entry.state = State::Due { at: now, blocked: None };
            }
            // Whether a budget allows an eviction depends on the pod's readiness.
            if facts.ready != entry.facts.ready
                && let State::Due { at, blocked: Some(_) } = &mut entry.state
            {
                *at = now.min(*at);
            }
            // The kubelet shortens the grace period to zero at the end, which hides when it began.
            if let (Some(before), Some(now)) = (entry.facts.deletion, &mut facts.deletion) {
                now.requested = now.requested.min(before.requested);
            }
            entry.facts = facts;
        }
    }

    /// A pod no longer exists.
    pub(crate) fn gone(&mut self, uid: &str) {
        self.stayed.remove(uid);
        self.past.insert(uid.to_owned());
        if let Some(Entry { facts, .. }) = self.entries.remove(uid) {
            let asked = facts.deletion.map(|deletion| deletion.requested);
            self.moved_volumes.claims.extend(facts.claimed());
            self.moved_volumes.inline |= facts.has_inline_volume;
            self.moved.push(MovedPod { created: facts.created, pod: facts.pod, owner: facts.owner, asked });
        }
    }

    /// Stops waiting for pods whose grace period ended more than `limit` ago.
    pub(crate) fn skip_overdue(&mut self, limit: Duration, clock: Timestamp) {
        let overdue = |entry: &&Entry| entry.is_leaving() && entry.facts.is_overdue(limit, clock);
        let overdue: Vec<_> = self.entries.values().filter(overdue).map(|entry| entry.facts.clone()).collect();
        for facts in overdue {
            self.entries.remove(&facts.pod.uid);
            self.add_staying(facts, StayReason::LongDeleted);
        }
    }

    /// Takes over a complete list: pods that are missing from it have gone, and pods in it exist, whatever was known before.
    pub(crate) fn reconcile(&mut self, listed: impl IntoIterator<Item = PodFacts>, now: Instant) {
        let listed: BTreeMap<_, _> = listed.into_iter().map(|facts| (facts.pod.uid.clone(), facts)).collect();
        let known = self.entries.keys().chain(self.stayed.keys());
        let missing: Vec<_> = known.filter(|uid| !listed.contains_key(*uid)).cloned().collect();
        missing.iter().for_each(|uid| self.gone(uid));
        for uid in listed.keys().filter(|uid| self.past.remove(*uid)).collect::<Vec<_>>() {
            self.moved.retain(|moved| moved.pod.uid != *uid);
        }
        listed.into_values().for_each(|facts| self.update(facts, now));
    }

    /// The next request that is due; it is in flight from now on.
    pub(crate) fn next_request(&mut self, now: Instant) -> Option<Request> {
        let (group, escalation) = (self.group(), self.escalation);
        let turn = self.entries.values_mut().filter(|entry| entry.group == group);
        let due = turn.filter_map(|entry| entry.due(escalation).map(|(at, action)| (at, action, entry)));
        let (_, action, entry) = due.filter(|(at, ..)| *at <= now).min_by_key(|(at, ..)| *at)?;
        Some(entry.request(action))
    }

    /// When the next request is due, if any is put off.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let group = self.group();
        let turn = self.entries.values().filter(|entry| entry.group == group);
        turn.filter_map(|entry| entry.due(self.escalation)).map(|(at, _)| at).min()
    }

    /// The outcome of a request for a pod.
    pub(crate) fn answered(&mut self, uid: &str, action: Action, outcome: Outcome, now: Instant, clock: Timestamp) {
        if outcome == Outcome::Gone {
            self.gone(uid);
        }
        // The watch may have reported it gone already.
        let Some(entry) = self.entries.get_mut(uid) else { return };
        if let State::Leaving { since, .. } = &entry.state {
            // Somebody may have deleted it while its eviction was in flight; then the outcome adds nothing.
            if action == Action::Kill {
                let since = *since;
                self.killed(uid, since, outcome, now);
            }
            return;
        }
        let blocked = match &mut entry.state {
            State::InFlight { blocked } => blocked.take(),
            _ => None,
        };
        entry.replace &= matches!(outcome, Outcome::Retry { .. });
        let unanswered = std::mem::take(&mut entry.unanswered);
        let mut trouble = None;
        let mut others = None;
        entry.state = match outcome {
            Outcome::Accepted | Outcome::Gone => {
                if action == Action::Delete {
                    self.escalated.push(deleted(&entry.facts.pod, blocked.as_ref(), now));
                }
                State::Leaving { since: now, killed: false }
            }
            Outcome::Replacing { deployment } => State::Replacing { deployment },
            Outcome::Blocked { budget, message, retry_after } => {
                let at = now + retry_after.max(BLOCKED_PAUSE);
                others = budget.clone().map(|budget| (entry.facts.pod.clone(), budget, at));
                refused(blocked, Blocker::Budget(budget), message, at - now, (now, clock))
            }
            Outcome::Denied { webhook, message } => {
                refused(blocked, Blocker::Webhook(webhook), message, BLOCKED_PAUSE, (now, clock))
            }
            Outcome::NamespaceTerminating if entry.facts.deletion.is_some() => {
                State::Leaving { since: now, killed: false }
            }
            Outcome::NamespaceTerminating => State::Due { at: now + TERMINATING_PAUSE, blocked },
            Outcome::Retry { message, retry_after } => {
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

    /// The outcome of a pod's second deletion, with a shorter grace period.
    fn killed(&mut self, uid: &str, since: Instant, outcome: Outcome, now: Instant) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        match outcome {
            Outcome::Accepted => self.escalated.push(killed(&entry.facts.pod, now - since)),
            // Backdated or postdated so that the next try is due after the pause.
            Outcome::Retry { message, retry_after } => {
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

    /// Why the API does not answer; None once it does.
    pub(crate) fn set_trouble(&mut self, message: Option<String>) {
        self.trouble = message;
    }

    /// The namespaces in which a budget blocks a pod.
    pub(crate) fn namespaces_with_blocked(&self) -> BTreeSet<&str> {
        let blocked = self.entries.values().filter(|entry| entry.blocked().is_some_and(Blocked::is_by_budget));
        blocked.map(|entry| entry.facts.pod.namespace.as_str()).collect()
    }

    /// A budget has a new status. As many pods as it allows are tried again now: one more would be refused.
    pub(crate) fn budget_changed(&mut self, update: &BudgetUpdate, now: Instant) {
        self.record_granted(update);
        let blocked = self.entries.values_mut().filter(|entry| {
            let by_it = entry.blocked().is_some_and(|blocked| blocked.may_be_by(&update.name));
            by_it && entry.facts.pod.namespace == update.namespace
        });
        let (mut put_off, due): (Vec<_>, Vec<_>) =
            blocked.partition(|entry| matches!(entry.state, State::Due { at, .. } if at > now));
        let allowed = match update.allowance {
            Allowance::Pods(pods) => pods.saturating_sub(due.len()),
            Allowance::Unlimited => usize::MAX,
        };
        for entry in &mut put_off {
            if let (State::Due { blocked: Some(blocked), .. }, Some(message)) = (&mut entry.state, &update.message) {
                blocked.message.clone_from(message);
            }
        }
        put_off.sort_by(|a, b| a.facts.pod.cmp(&b.facts.pod));
        for entry in put_off.into_iter().take(allowed) {
            if let State::Due { at, .. } = &mut entry.state {
                *at = now;
            }
        }
    }

    /// Records which refused pods the budget has counted as evicted. The eviction of a pod with a request in flight may have been
    /// counted just now.
    fn record_granted(&mut self, update: &BudgetUpdate) {
        let refused = self.entries.values().filter(|entry| {
            matches!(&entry.state, State::Due { blocked: Some(it), .. } if it.may_be_by(&update.name))
                && entry.facts.pod.namespace == update.namespace
        });
        for entry in refused {
            let uid = entry.facts.pod.uid.clone();
            match update.granted.contains(&entry.facts.pod.name) {
                true => self.granted.insert(uid),
                false => self.granted.remove(&uid),
            };
        }
    }

    /// What the server refused one pod of a budget, it would refuse the others: that pod tries again first, for all.
    fn put_off_others(&mut self, refused: &PodRef, budget: &str, until: Instant) {
        let others = self.entries.values_mut().filter(|entry| entry.facts.pod != *refused);
        for entry in others.filter(|entry| entry.facts.pod.namespace == refused.namespace) {
            if let State::Due { at, blocked: Some(blocked) } = &mut entry.state
                && blocked.by == Blocker::Budget(Some(budget.to_owned()))
            {
                *at = (until + BLOCKED_PAUSE).max(*at);
            }
        }
    }

    /// The volumes of the moved pods, but for those that pods that stay use as well.
    pub(crate) fn moved_volumes(&self) -> MovedVolumes {
        let MovedVolumes { claims, inline } = &self.moved_volumes;
        MovedVolumes { claims: claims.difference(&self.stayed_claims).cloned().collect(), inline: *inline }
    }

    /// Volumes still attached to the node although their pods have gone.
    pub(crate) fn set_attached(&mut self, volumes: Vec<String>) {
        self.attached = volumes;
    }

    /// Whether a kube-controller-manager is there to replenish budgets.
    pub(crate) fn set_replenished(&mut self, replenished: bool, clock: Timestamp) {
        self.not_refilled_since = match replenished {
            true => None,
            false => self.not_refilled_since.or(Some(clock)),
        };
    }

    /// Whether no pod is left that has to go, as far as the ledger knows.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The group whose turn it is: the first that has a pod left.
    fn group(&self) -> usize {
        self.entries.values().map(|entry| entry.group).min().unwrap_or_default()
    }

    /// Whether some pod has failed for good and the others of its group only wait for budgets.
    pub(crate) fn is_hopeless(&self) -> bool {
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
