//! What the ledger reports: of a drain that runs, has succeeded, or has failed.

use std::time::Duration;

use super::{Blocked, Blocker, Ledger, State};
use crate::drain::report::{BlockedPod, DrainProgress, Drained, FailedPod, PodRef, Remains};

/// A connection that breaks in the middle of an eviction leaves the pod running and its budget exhausted: the apiserver has
/// counted the pod as gone but not deleted it. The disruption controller drops the count after 2 minutes (DeletionTimeout in
/// kubernetes/pkg/controller/disruption).
const CUT_OFF: &str = "its budget has counted an eviction that was cut off, and forgets it within 2 minutes";

impl Ledger {
    pub(crate) fn progress(&self) -> DrainProgress {
        let count = |wanted: fn(&State) -> bool| self.entries.values().filter(|entry| wanted(&entry.state)).count();
        DrainProgress {
            total: self.entries.len() + self.moved.len(),
            gone: self.moved.len(),
            leaving: count(|state| matches!(state, State::Leaving { .. })),
            blocked: self.blocked(),
            failed: self.failed(),
            finishing: count(|state| *state == State::Finishing),
            replacing: count(|state| matches!(state, State::Replacing { .. })),
            volumes: self.attached.clone(),
            escalated: self.escalated.clone(),
            staying: self.stayed.len(),
            warnings: self.warnings.clone(),
            trouble: self.trouble.clone(),
            not_refilled_since: self.not_refilled_since,
        }
    }

    pub(crate) fn remains(&self) -> Remains {
        let pods = |wanted: fn(&State) -> bool| {
            let entries = self.entries.values().filter(|entry| wanted(&entry.state));
            let mut pods: Vec<_> = entries.map(|entry| entry.facts.pod.clone()).collect();
            pods.sort();
            pods
        };
        Remains {
            moved: self.moved.clone(),
            leaving: pods(|state| matches!(state, State::Leaving { .. })),
            blocked: self.blocked(),
            failed: self.failed(),
            not_refilled_since: self.not_refilled_since,
            finishing: pods(|state| *state == State::Finishing),
            replacing: self.replacing(),
            volumes: self.attached.clone(),
            waiting: pods(|state| {
                matches!(state, State::Due { blocked: None, .. } | State::InFlight { blocked: None })
            }),
        }
    }

    /// The report of a drain that emptied its node.
    pub(crate) fn into_drained(self, took: Duration) -> Drained {
        let mut stayed: Vec<_> = self.stayed.into_values().collect();
        stayed.sort_by(|a, b| a.pod.cmp(&b.pod));
        Drained { moved: self.moved, stayed, warnings: self.warnings, escalated: self.escalated, took }
    }

    fn blocked(&self) -> Vec<BlockedPod> {
        let blocked = self.entries.values().filter_map(|entry| {
            let Blocked { by, message, since, next_try, .. } = entry.blocked()?.clone();
            let (budget, webhook) = match by {
                Blocker::Budget(budget) => (budget, None),
                Blocker::Webhook(webhook) => (None, Some(webhook)),
            };
            let pod = entry.facts.pod.clone();
            let cut_off = self.granted.contains(&pod.uid);
            let message = if cut_off { CUT_OFF.to_owned() } else { message };
            Some(BlockedPod { pod, budget, webhook, message, since, next_try })
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

    fn replacing(&self) -> Vec<(PodRef, String)> {
        let replacing = self.entries.values().filter_map(|entry| match &entry.state {
            State::Replacing { deployment } => Some((entry.facts.pod.clone(), deployment.clone())),
            _ => None,
        });
        let mut replacing: Vec<_> = replacing.collect();
        replacing.sort();
        replacing
    }
}
