//! Pods on nodes, as far as a rebalance needs to know them, and why most of them never move.

use std::{collections::BTreeMap, fmt, time::Duration};

use k8s_openapi::api::{
    core::v1::{Pod, PodAffinityTerm, PodSpec, TopologySpreadConstraint},
    policy::v1::PodDisruptionBudget,
};
use serde::Serialize;
use usher_core::drain::DrainOptions;

use crate::drain::{
    report::{Owner, PodRef, StayReason, Verdict},
    select::{self, Filtered, Phase, PodFacts, RefusalCause, filter},
    verdict::{BudgetLedger, PodRequirements},
};

/// What the scheduler is called that Kubernetes comes with.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The grace period of a pod that names none.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// What a pod may request. Of the local disk a node with fewer pods than others has more left than others; devices and huge pages
/// are another matter.
const KNOWN_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Why a pod does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Keeps {
    /// A DaemonSet or a kubelet keeps it on its node.
    Node,
    /// The site's drain policy, or the operator's selectors.
    Policy,
    /// Neither a ReplicaSet nor a StatefulSet would bring it back as it is.
    Controller,
    /// Its `emptyDir` would be lost.
    LocalStorage,
    /// It is the only one of its controller: its service would be away.
    LoneReplica,
    /// It, or another pod of its controller, is not ready.
    NotReady,
    /// Its disruption budget never allows an eviction.
    Budget,
    /// It asks for something whose rules are not known here: another scheduler, a port of the host, a device.
    Unjudged,
    /// Where its volumes can be used is not known.
    Volume,
    /// No node that gets pods takes it.
    Fit,
}

impl fmt::Display for Keeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "bound to their node (DaemonSet, static)",
            Self::Policy => "left alone by policy or selector",
            Self::Controller => "of no ReplicaSet or StatefulSet",
            Self::LocalStorage => "with local storage",
            Self::LoneReplica => "lone replicas",
            Self::NotReady => "not ready, or of a workload that is not",
            Self::Budget => "under a budget that allows none",
            Self::Unjudged => "with needs that only the scheduler can judge",
            Self::Volume => "with volumes that could not be looked up",
            Self::Fit => "that fit no node which gets pods",
        })
    }
}

/// What all pods of one controller have in common. Pods of a ReplicaSet differ in nothing else that matters, so it is kept once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    pub(super) namespace: String,
    pub(super) owner: Option<Owner>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) requirements: PodRequirements,
    /// Required affinity to other pods.
    pub(super) near: Vec<PodAffinityTerm>,
    /// Required anti-affinity.
    pub(super) apart: Vec<PodAffinityTerm>,
    /// Spread constraints that forbid.
    pub(super) spread: Vec<TopologySpreadConstraint>,
    pub(super) grace: Duration,
}

impl Kind {
    /// Whether a new pod of the same name takes the place of the old one, once that has gone.
    pub(super) fn is_of_stateful_set(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.kind == "StatefulSet")
    }
}

/// One pod on a node.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) pod: PodRef,
    /// The index of its node in the survey.
    pub(super) node: usize,
    /// The index of its kind in the survey.
    pub(super) kind: usize,
    /// Names of the PersistentVolumeClaims that it mounts.
    pub(super) claims: Vec<String>,
    /// Why it never moves; None if it may.
    pub(super) keeps: Option<Keeps>,
}

pub(super) fn kind_of(pod: &Pod, facts: &PodFacts, keeps: Option<Keeps>) -> Kind {
    let spec = pod.spec.as_ref();
    let affinity = spec.and_then(|spec| spec.affinity.as_ref());
    let near = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
    let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    let spread = spec.and_then(|spec| spec.topology_spread_constraints.as_deref()).unwrap_or_default();
    let grace = spec.and_then(|spec| u64::try_from(spec.termination_grace_period_seconds?).ok());
    let requirements = PodRequirements::of(pod);
    Kind {
        namespace: facts.pod.namespace.clone(),
        owner: facts.owner.clone(),
        labels: facts.labels.clone(),
        // Each pod of a DaemonSet names its own node, and none of them moves.
        requirements: if keeps == Some(Keeps::Node) { requirements.only_requests() } else { requirements },
        near: near
            .and_then(|near| near.required_during_scheduling_ignored_during_execution.clone())
            .unwrap_or_default(),
        apart: apart
            .and_then(|apart| apart.required_during_scheduling_ignored_during_execution.clone())
            .unwrap_or_default(),
        spread: spread.iter().filter(|it| it.when_unsatisfiable == "DoNotSchedule").cloned().collect(),
        grace: grace.map_or(DEFAULT_GRACE, Duration::from_secs),
    }
}

/// Why the pod never moves, from what it is itself. `budgets` are those of its namespace.
pub(super) fn keeps(
    pod: &Pod,
    facts: &PodFacts,
    budgets: &[PodDisruptionBudget],
    options: &DrainOptions,
) -> Option<Keeps> {
    let now = usher_common::clock::now();
    match filter(facts, None, options, now) {
        Filtered::Stay { reason: StayReason::Policy, .. } => return Some(Keeps::Policy),
        Filtered::Stay { .. } => return Some(Keeps::Node),
        Filtered::Refuse { cause, .. } => {
            return Some(match cause {
                RefusalCause::LocalStorage => Keeps::LocalStorage,
                RefusalCause::Protected => Keeps::Policy,
                RefusalCause::Unmanaged => Keeps::Controller,
                RefusalCause::DaemonSet | RefusalCause::DaemonSetGone | RefusalCause::DaemonSetUnknown => Keeps::Node,
            });
        }
        Filtered::Evict { .. } => {}
    }
    let is_wanted = options.pod_selector.as_ref().is_none_or(|selector| selector.selects(&facts.labels));
    if !is_wanted || select::awaits_completion(&options.policy, facts) {
        return Some(Keeps::Policy);
    }
    let is_replaced = facts.owner.as_ref().is_some_and(|owner| {
        owner.api_version.starts_with("apps/") && matches!(owner.kind.as_str(), "ReplicaSet" | "StatefulSet")
    });
    if !is_replaced {
        return Some(Keeps::Controller);
    }
    if facts.phase != Phase::Running || !facts.ready || facts.deletion.is_some() {
        return Some(Keeps::NotReady);
    }
    if pod.spec.as_ref().is_some_and(is_unjudged) {
        return Some(Keeps::Unjudged);
    }
    let verdict = BudgetLedger::of(budgets, now).verdict(facts, None);
    matches!(verdict, Verdict::Never { .. }).then_some(Keeps::Budget)
}

/// Whether the scheduler would ask something of a node that is not looked at here.
fn is_unjudged(spec: &PodSpec) -> bool {
    let another = spec.scheduler_name.as_deref().is_some_and(|name| !name.is_empty() && name != DEFAULT_SCHEDULER);
    let containers = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let has_host_port = containers()
        .flat_map(|container| container.ports.iter().flatten())
        .any(|port| port.host_port.is_some_and(|port| port > 0));
    let requests = containers().filter_map(|container| container.resources.as_ref()?.requests.as_ref());
    let asks_for_more = requests.flat_map(|all| all.keys()).any(|name| !KNOWN_RESOURCES.contains(&name.as_str()));
    let claims_devices = spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty());
    another || has_host_port || asks_for_more || claims_devices
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(change: Value) -> Pod {
        let mut pod = json!({
            "metadata": {
                "namespace": "shop", "name": "web-1", "uid": "u1", "labels": {"app": "web"},
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r1", "controller": true,
                }],
            },
            "spec": {"nodeName": "w1", "containers": [{"name": "main"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        merge(&mut pod, change);
        serde_json::from_value(pod).unwrap()
    }

    fn merge(into: &mut Value, change: Value) {
        match (into, change) {
            (Value::Object(into), Value::Object(change)) => {
                for (key, value) in change {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
            (into, change) => *into = change,
        }
    }

    fn owner(api_version: &str, kind: &str) -> Value {
        json!({"metadata": {"ownerReferences": [{
            "apiVersion": api_version, "kind": kind, "name": "x", "uid": "x", "controller": true,
        }]}})
    }

    fn container(container: Value) -> Value {
        json!({"spec": {"containers": [container]}})
    }

    #[test]
    fn only_pods_move_that_are_ready_and_replaced_elsewhere_as_they_are() {
        let budgets: Vec<PodDisruptionBudget> = serde_json::from_value(json!([{
            "metadata": {"namespace": "shop", "name": "db"},
            "spec": {"selector": {"matchLabels": {"app": "db"}}, "maxUnavailable": 0},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2},
        }]))
        .unwrap();
        let requests = |name: &str| container(json!({"name": "main", "resources": {"requests": {name: "1"}}}));
        for (change, expected) in [
            (json!({}), None),
            (owner("apps/v1", "StatefulSet"), None),
            (owner("apps/v1", "DaemonSet"), Some(Keeps::Node)),
            (owner("batch/v1", "Job"), Some(Keeps::Controller)),
            (owner("example.com/v1", "ReplicaSet"), Some(Keeps::Controller)),
            (json!({"metadata": {"ownerReferences": null}}), Some(Keeps::Controller)),
            (json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}), Some(Keeps::Node)),
            (json!({"metadata": {"labels": {"keep": "yes"}}}), Some(Keeps::Policy)),
            (json!({"metadata": {"labels": {"app": "other"}}}), Some(Keeps::Policy)),
            (json!({"metadata": {"namespace": "rook"}}), Some(Keeps::Policy)),
            (json!({"metadata": {"labels": {"app": "db"}}}), Some(Keeps::Budget)),
            (json!({"spec": {"volumes": [{"name": "a", "emptyDir": {}}]}}), Some(Keeps::LocalStorage)),
            (json!({"status": {"phase": "Pending"}}), Some(Keeps::NotReady)),
            (json!({"status": {"conditions": null}}), Some(Keeps::NotReady)),
            (json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), Some(Keeps::NotReady)),
            (json!({"spec": {"schedulerName": "batch-scheduler"}}), Some(Keeps::Unjudged)),
            (json!({"spec": {"schedulerName": "default-scheduler"}}), None),
            (container(json!({"name": "main", "ports": [{"containerPort": 80}]})), None),
            (
                container(json!({"name": "main", "ports": [{"containerPort": 80, "hostPort": 80}]})),
                Some(Keeps::Unjudged),
            ),
            (requests("memory"), None),
            (requests("nvidia.com/gpu"), Some(Keeps::Unjudged)),
        ] {
            let options = DrainOptions {
                pod_selector: "app in (web,db)".parse().ok(),
                policy: usher_core::drain::DrainPolicy {
                    protected_namespaces: vec!["rook".into()],
                    skip: vec!["keep=yes".parse().unwrap()],
                    ..Default::default()
                },
                ..DrainOptions::default()
            };
            let pod = pod(change.clone());
            assert_eq!(keeps(&pod, &PodFacts::of(&pod), &budgets, &options), expected, "{change}");
        }
    }
}
