//! What will become of each pod, before anything is touched: goes now, must wait, or can never go as things stand. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use serde::Serialize;

use super::{PodRef, StayReason, budgets, classify::Forbids, pods::PodFacts};
use crate::words::list;

/// What will become of a pod, and what an operator should know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodOutlook {
    /// The pod.
    #[serde(flatten)]
    pub pod: PodRef,
    /// What will become of it.
    #[serde(flatten)]
    pub outlook: Outlook,
    /// What to know before saying yes, as "a lone replica: its service is away until another one is ready".
    pub cautions: Vec<String>,
}

/// What will become of a pod, as things stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "camelCase")]
pub enum Outlook {
    /// It is evicted at once.
    Now,
    /// It is evicted when a budget lets it.
    Wait {
        /// The budget, in the pod's namespace.
        budget: String,
        /// How many of the budget's pods must be healthy.
        needs: i32,
        /// How many are.
        has: i32,
    },
    /// It cannot be evicted as things stand.
    Never {
        /// Why.
        because: String,
        /// What would let it go.
        unblock: String,
    },
    /// It is evicted once it has ended by itself.
    Finish,
    /// Another one is started in its place first; then its Deployment takes it away.
    Replace {
        /// The Deployment, in the pod's namespace.
        deployment: String,
    },
    /// It is left alone.
    Stay {
        /// Why.
        reason: StayReason,
    },
}

impl Outlook {
    /// Whether the pod's eviction is what decides.
    pub(super) fn is_eviction(&self) -> bool {
        !matches!(self, Self::Finish | Self::Replace { .. })
    }
}

/// What becomes of a pod in whose place another one is started first.
pub(super) fn replaced_first(deployment: String, homeless: Option<&str>) -> Outlook {
    match homeless {
        Some(homeless) => never(
            format!("another one of deployment {deployment} must be ready first, and {homeless}"),
            "make room for it on another node",
        ),
        None => Outlook::Replace { deployment },
    }
}

/// Why a pod that kubectl's filters refuse does not go, and what would let it.
pub(super) fn forbidden(cause: Forbids, message: &str) -> Outlook {
    let (because, unblock) = match cause {
        Forbids::DaemonSet => ("its DaemonSet would bring it back at once", "--ignore-daemonsets leaves it alone"),
        Forbids::DaemonSetGone => ("its DaemonSet is gone, nothing would bring it back", "--force deletes it for good"),
        Forbids::DaemonSetUnknown => (message, "usher must be allowed to get DaemonSets"),
        Forbids::LocalStorage => {
            ("emptyDir volumes, whose data goes with it", "--delete-emptydir-data deletes them with the pod")
        }
        Forbids::Protected => ("its namespace is protected", "--allow-namespace lets it go this once"),
        Forbids::Unmanaged => ("bare pod, nothing would bring it back", "--force deletes it for good"),
    };
    never(because, unblock)
}

fn never(because: impl Into<String>, unblock: impl Into<String>) -> Outlook {
    Outlook::Never { because: because.into(), unblock: unblock.into() }
}

/// A pod that became unready, or was started, less long ago than this may yet become ready.
const SLOW_START: SignedDuration = SignedDuration::from_mins(5);

/// The budgets of some namespaces, and how much of their room earlier pods have been given.
#[derive(Debug)]
pub(super) struct Room<'b> {
    budgets: &'b [PodDisruptionBudget],
    given: BTreeMap<(String, String), i32>,
    now: Timestamp,
}

impl<'b> Room<'b> {
    pub(super) fn of(budgets: &'b [PodDisruptionBudget], now: Timestamp) -> Self {
        Self { budgets, given: BTreeMap::new(), now }
    }

    /// What becomes of a pod that no filter refuses. `homeless` says why no other node takes its successor, if none does.
    pub(super) fn outlook(&mut self, pod: &PodFacts, homeless: Option<&str>) -> Outlook {
        if !budgets::count_for(pod) {
            return Outlook::Now;
        }
        let matching: Vec<_> = self.budgets.iter().filter(|budget| budgets::applies(budget, pod)).collect();
        match matching[..] {
            [] => Outlook::Now,
            [budget] => self.under(budget, pod, homeless),
            _ => {
                let names: Vec<_> = matching.iter().map(|budget| budget.name_any()).collect();
                let names = list(&names);
                never(
                    format!("the budgets {names} all apply to it, and the server evicts no such pod"),
                    "leave it to one of them: narrow the others' selectors",
                )
            }
        }
    }

    fn under(&mut self, budget: &PodDisruptionBudget, pod: &PodFacts, homeless: Option<&str>) -> Outlook {
        let name = budget.name_any();
        let status = budget.status.clone().unwrap_or_default();
        let (needs, has) = (status.desired_healthy, status.current_healthy);
        let wait = Outlook::Wait { budget: name.clone(), needs, has };
        let policy = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
        if !pod.ready && (policy == Some("AlwaysAllow") || (has >= needs && needs > 0)) {
            return Outlook::Now;
        }
        if status.observed_generation.unwrap_or(0) < budget.metadata.generation.unwrap_or(0) {
            return wait;
        }
        let given = self.given.entry((pod.pod.namespace.clone(), name.clone())).or_default();
        if status.disruptions_allowed > *given {
            *given += 1;
            return Outlook::Now;
        }
        let place = format!("{}/{name}", pod.pod.namespace);
        if let Some(why) = failed_sync(budget) {
            return never(format!("budget {place} cannot be counted: {why}"), "mend the budget or what it selects");
        }
        if status.disruptions_allowed == 0 && needs >= status.expected_pods {
            return never(
                format!("budget {place} allows none: {}", rule(budget, status.expected_pods)),
                "add a replica, or let the budget allow one",
            );
        }
        let long = pod.ready_changed.is_none_or(|since| self.now.duration_since(since) >= SLOW_START);
        if !pod.ready && long {
            return never(
                format!("it is not ready, and budget {place} needs {needs} healthy, has {has}"),
                "mend the pod, or set unhealthyPodEvictionPolicy: AlwaysAllow in the budget",
            );
        }
        if let Some(homeless) = homeless {
            return never(
                format!("budget {place} waits for a successor, and {homeless}"),
                "make room for it on another node",
            );
        }
        wait
    }
}

/// `minAvailable 1, replicas 1`.
fn rule(budget: &PodDisruptionBudget, expected: i32) -> String {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::{Int, String};
    let spec = budget.spec.as_ref();
    let (word, value) = match spec.and_then(|spec| spec.min_available.as_ref()) {
        Some(least) => ("minAvailable", Some(least)),
        None => ("maxUnavailable", spec.and_then(|spec| spec.max_unavailable.as_ref())),
    };
    match value {
        Some(Int(number)) => format!("{word} {number}, replicas {expected}"),
        Some(String(share)) => format!("{word} {share}, replicas {expected}"),
        None => format!("replicas {expected}"),
    }
}

fn failed_sync(budget: &PodDisruptionBudget) -> Option<&str> {
    let conditions = budget.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions.iter().find(|condition| condition.reason == "SyncFailed" && condition.status != "True");
    failed.map(|condition| condition.message.as_str())
}

#[cfg(test)]
mod tests;
