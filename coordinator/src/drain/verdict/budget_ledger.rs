//! The verdicts that follow from disruption budgets and from kubectl's filters. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;

use super::{budgets, homes::Homeless};
use crate::{
    drain::{
        report::Verdict,
        select::{PodFacts, RefusalCause},
    },
    text::list,
};

/// The verdict on a pod whose Deployment starts another one first.
pub(super) fn replaced_first(deployment: String, homeless: Option<&Homeless>) -> Verdict {
    match homeless.filter(|homeless| homeless.lasts) {
        Some(Homeless { why, .. }) => never(
            format!("another one of deployment {deployment} must be ready first, and {why}"),
            "let another node take it, or do without surge for it",
        ),
        None => Verdict::Replace { deployment },
    }
}

/// The verdict on a pod whose successor the scheduler can only bind to the same node again, in spite of the cordon.
pub(super) fn comes_back(pod: &PodFacts, node: &str) -> Verdict {
    let label = ["app.kubernetes.io/name", "app"].into_iter().find_map(|key| pod.labels.get_key_value(key));
    let (key, value) = label.or(pod.labels.first_key_value()).map_or(("KEY", "VALUE"), |(key, value)| (key, value));
    never(
        format!("comes back to {node}: it tolerates the cordon, and no other node takes it"),
        format!("--skip-pods {key}={value} leaves it alone; or let it tolerate less than a cordon"),
    )
}

/// The verdict on a pod that the filters refuse.
pub(super) fn refused(cause: RefusalCause, message: &str) -> Verdict {
    let (because, unblock) = match cause {
        RefusalCause::DaemonSet => ("its DaemonSet would bring it back at once", "--ignore-daemonsets leaves it alone"),
        RefusalCause::DaemonSetGone => {
            ("its DaemonSet is gone, nothing would bring it back", "--force deletes it for good")
        }
        RefusalCause::DaemonSetUnknown => (message, "usher must be allowed to get DaemonSets"),
        RefusalCause::LocalStorage => {
            ("emptyDir volumes, whose data goes with it", "--delete-emptydir-data deletes them with the pod")
        }
        RefusalCause::Protected => ("its namespace is protected", "--allow-namespace lets it go this once"),
        RefusalCause::Unmanaged => ("bare pod, nothing would bring it back", "--force deletes it for good"),
    };
    never(because, unblock)
}

fn never(because: impl Into<String>, unblock: impl Into<String>) -> Verdict {
    Verdict::Never { because: because.into(), unblock: unblock.into(), foresees_the_server: false }
}

/// Never, because the server will refuse the eviction.
fn refused_by_the_server(because: impl Into<String>, unblock: impl Into<String>) -> Verdict {
    Verdict::Never { because: because.into(), unblock: unblock.into(), foresees_the_server: true }
}

/// A pod that became unready, or started, more recently than this may still become ready.
const SLOW_START: SignedDuration = SignedDuration::from_mins(5);

/// Disruption budgets, and how much of each allowance earlier pods have used up.
#[derive(Debug)]
pub(crate) struct BudgetLedger<'b> {
    budgets: &'b [PodDisruptionBudget],
    /// By namespace and name.
    used: BTreeMap<(String, String), Used>,
    now: Timestamp,
}

/// What earlier pods have used up of a budget.
#[derive(Debug, Default)]
struct Used {
    /// Of the evictions that it allows now.
    allowed: i32,
    /// Of the pods that it can ever be without: those whose successors will have no place.
    for_good: i32,
}

impl<'b> BudgetLedger<'b> {
    pub(crate) fn of(budgets: &'b [PodDisruptionBudget], now: Timestamp) -> Self {
        Self { budgets, used: BTreeMap::new(), now }
    }

    /// The verdict on a pod that no filter keeps. `homeless` says why no other node takes its successor, if none does.
    pub(crate) fn verdict(&mut self, pod: &PodFacts, homeless: Option<&Homeless>) -> Verdict {
        if !budgets::count_for(pod) {
            return Verdict::Now;
        }
        let matching: Vec<_> = self.budgets.iter().filter(|budget| budgets::applies(budget, pod)).collect();
        match matching[..] {
            [] => Verdict::Now,
            [budget] => self.under(budget, pod, homeless),
            _ => {
                let names: Vec<_> = matching.iter().map(|budget| budget.name_any()).collect();
                let names = list(&names);
                refused_by_the_server(
                    format!("the budgets {names} all apply to it, and the server evicts no such pod"),
                    "leave it to one of them: narrow the others' selectors",
                )
            }
        }
    }

    fn under(&mut self, budget: &PodDisruptionBudget, pod: &PodFacts, homeless: Option<&Homeless>) -> Verdict {
        let name = budget.name_any();
        let status = budget.status.clone().unwrap_or_default();
        let (needs, has) = (status.desired_healthy, status.current_healthy);
        let wait = Verdict::Wait { budget: name.clone(), needs, has };
        let policy = budget.spec.as_ref().and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
        if !pod.ready && (policy == Some("AlwaysAllow") || (has >= needs && needs > 0)) {
            return Verdict::Now;
        }
        if status.observed_generation.unwrap_or(0) < budget.metadata.generation.unwrap_or(0) {
            return wait;
        }
        let used = self.used.entry((pod.pod.namespace.clone(), name.clone())).or_default();
        let lost = homeless.filter(|homeless| homeless.lasts);
        if status.disruptions_allowed > used.allowed {
            used.allowed += 1;
            used.for_good += i32::from(lost.is_some());
            return Verdict::Now;
        }
        let place = format!("{}/{name}", pod.pod.namespace);
        if let Some(why) = failed_sync(budget) {
            return refused_by_the_server(
                format!("budget {place} cannot be counted: {why}"),
                "mend the budget or what it selects",
            );
        }
        if status.disruptions_allowed == 0 && needs >= status.expected_pods {
            return refused_by_the_server(
                format!("budget {place} allows none: {}", rule(budget, status.expected_pods)),
                "add a replica, or let the budget allow one",
            );
        }
        let for_long = pod.ready_changed.is_none_or(|since| self.now.duration_since(since) >= SLOW_START);
        if !pod.ready && for_long {
            return refused_by_the_server(
                format!("it is not ready, and budget {place} needs {needs} healthy, has {has}"),
                "mend the pod, or set unhealthyPodEvictionPolicy: AlwaysAllow in the budget",
            );
        }
        if let Some(Homeless { why, .. }) = lost {
            // With all others healthy the budget can be without so many, and these do not come back.
            if used.for_good >= status.expected_pods - needs {
                return never(
                    format!("budget {place} waits for a successor, and {why}"),
                    "let another node take it, or let the budget allow one more",
                );
            }
            used.for_good += 1;
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
