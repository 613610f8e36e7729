//! What a pod requires of a node, what nodes offer, and what one would have against the other. Pure, and only the scheduler's rules
//! about the two: node selectors, required node affinity, taints, volumes, and room for the pod's requests. Spread constraints and
//! affinity between pods are left to the scheduler.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, NodeSelectorTerm, Pod, Taint, Toleration};
use kube::ResourceExt as _;

use super::{
    quantity::{requested, thousandths},
    selection::meets,
};
use crate::drain::select::{UNSCHEDULABLE, is_passing, tolerate_a_cordon, tolerates};

/// What a pod requires of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PodRequirements {
    labels: BTreeMap<String, String>,
    terms: Option<Vec<NodeSelectorTerm>>,
    tolerations: Vec<Toleration>,
    /// In millicores.
    cpu: i128,
    /// In bytes.
    memory: i128,
}

/// What a node still offers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeCapacity {
    pub(crate) name: String,
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
    cordoned: bool,
    /// Whether it is not ready or being deleted.
    away: bool,
    /// In millicores.
    cpu: i128,
    /// In bytes.
    memory: i128,
    pods: i128,
}

impl PodRequirements {
    pub(crate) fn of(pod: &Pod) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
        Self {
            labels: spec.node_selector.clone().unwrap_or_default(),
            terms: required.map(|selector| selector.node_selector_terms.clone()),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            cpu: requested(spec, "cpu"),
            memory: requested(spec, "memory") / 1000,
        }
    }
}

/// What a node has against a pod. The reasons that last come first: of several, the first is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Objection {
    /// The pod's volume cannot be used there.
    Volume,
    NotSelected,
    Tainted,
    /// It takes no pods now: it is cordoned, not ready or being deleted, or says so by a taint.
    Closed,
    Full,
}

impl Objection {
    /// Whether it follows from what pod and node are, and not from how the node is at the moment.
    pub(super) fn lasts(self) -> bool {
        matches!(self, Self::Volume | Self::NotSelected | Self::Tainted)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Volume => "out of its volume's reach",
            Self::NotSelected => "not selected",
            Self::Tainted => "tainted",
            Self::Closed => "closed",
            Self::Full => "full",
        }
    }
}

impl PodRequirements {
    /// Requested millicores and bytes.
    pub(crate) fn requests(&self) -> (u64, u64) {
        (within_u64(self.cpu), within_u64(self.memory))
    }

    /// The same requests of a pod that any node may have.
    pub(crate) fn only_requests(&self) -> Self {
        Self { cpu: self.cpu, memory: self.memory, ..Self::default() }
    }

    fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|toleration| tolerates(toleration, taint))
    }
}

impl NodeCapacity {
    pub(crate) fn of(node: &Node) -> Self {
        let spec = node.spec.clone().unwrap_or_default();
        let status = node.status.as_ref();
        let ready = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let ready = ready.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let allocatable = status.and_then(|status| status.allocatable.as_ref());
        // A node that does not say has no limit.
        let offered = |what: &str| allocatable.and_then(|all| all.get(what)).and_then(thousandths);
        Self {
            name: node.name_any(),
            labels: node.labels().clone(),
            taints: spec.taints.unwrap_or_default(),
            cordoned: spec.unschedulable == Some(true),
            away: !ready || node.metadata.deletion_timestamp.is_some(),
            cpu: offered("cpu").unwrap_or(i128::MAX / 2),
            memory: offered("memory").map_or(i128::MAX / 2, |memory| memory / 1000),
            pods: offered("pods").map_or(i128::MAX / 2, |pods| pods / 1000),
        }
    }

    /// Subtracts the requests of a pod that runs there.
    pub(crate) fn take(&mut self, pod: &PodRequirements) {
        self.cpu -= pod.cpu;
        self.memory -= pod.memory;
        self.pods -= 1;
    }

    /// Millicores, bytes and pods that are left.
    pub(crate) fn left(&self) -> (u64, u64, u64) {
        (within_u64(self.cpu), within_u64(self.memory), within_u64(self.pods))
    }

    /// Whether it takes no pods at all: it is cordoned, not ready or being deleted.
    pub(crate) fn is_closed(&self) -> bool {
        self.cordoned || self.away
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Whether it still carries the taint of a cordon that is gone: a controller takes it away a moment later, and until then the
    /// scheduler leaves the node out.
    pub(crate) fn is_opening(&self) -> bool {
        !self.is_closed() && self.taints.iter().any(|taint| taint.key == UNSCHEDULABLE)
    }

    /// The taints that keep pods away, but for that of a cordon, in one order for all nodes.
    pub(crate) fn hard_taints(&self) -> BTreeSet<String> {
        self.hard()
            .filter(|taint| taint.key != UNSCHEDULABLE)
            .map(|taint| format!("{}={:?}:{}", taint.key, taint.value, taint.effect))
            .collect()
    }

    /// Whether the pod's node selector and required node affinity choose it.
    pub(crate) fn is_selected(&self, requirements: &PodRequirements) -> bool {
        requirements.labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
            && requirements.terms.as_ref().is_none_or(|terms| self.meets_any(terms))
    }

    /// Whether one of the terms is met, as a volume's node affinity demands.
    pub(crate) fn meets_any(&self, terms: &[NodeSelectorTerm]) -> bool {
        terms.iter().any(|term| self.meets(term))
    }

    /// Whether the pod tolerates each taint that keeps pods away.
    pub(crate) fn is_tolerated(&self, requirements: &PodRequirements) -> bool {
        self.hard().all(|taint| requirements.tolerates(taint))
    }

    /// The taints that keep pods away. That of a cordon says no more than the cordon.
    fn hard(&self) -> impl Iterator<Item = &Taint> {
        let hard = self.taints.iter().filter(|taint| taint.effect != "PreferNoSchedule");
        hard.filter(|taint| !(self.is_closed() && taint.key == UNSCHEDULABLE))
    }

    /// What it has against the pod, its volumes apart.
    pub(super) fn objection(&self, pod: &PodRequirements) -> Option<Objection> {
        let untolerated =
            |passing: bool| self.hard().any(|taint| is_passing(taint) == passing && !pod.tolerates(taint));
        let closed = || self.away || (self.cordoned && !tolerate_a_cordon(&pod.tolerations)) || untolerated(true);
        let full = || self.cpu < pod.cpu || self.memory < pod.memory || self.pods < 1;
        self.objects_for_good(pod)
            .or_else(|| closed().then_some(Objection::Closed))
            .or_else(|| full().then_some(Objection::Full))
    }

    /// What it has against the pod however it is at the moment, the pod's volumes apart.
    pub(super) fn objects_for_good(&self, pod: &PodRequirements) -> Option<Objection> {
        let tainted = || self.hard().any(|taint| !is_passing(taint) && !pod.tolerates(taint));
        match self.is_selected(pod) {
            false => Some(Objection::NotSelected),
            true => tainted().then_some(Objection::Tainted),
        }
    }

    fn meets(&self, term: &NodeSelectorTerm) -> bool {
        let by_label = term.match_expressions.iter().flatten();
        let by_name = term.match_fields.iter().flatten();
        by_label.clone().all(|it| meets(it, self.labels.get(&it.key)))
            && by_name.clone().all(|it| meets(it, Some(&self.name)))
            && by_label.count() + by_name.count() > 0
    }
}

/// A number that several of its kind can be added to without an overflow.
fn within_u64(number: i128) -> u64 {
    const MOST: u64 = u64::MAX >> 20;
    u64::try_from(number.max(0)).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        Objection::{Closed, Full, NotSelected, Tainted},
        *,
    };

    fn capacity(name: &str, node: Value) -> NodeCapacity {
        let mut whole = json!({
            "metadata": {"name": name, "labels": {"disk": "ssd", "cores": "8"}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                       "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "2"}},
        });
        for (key, value) in node.as_object().unwrap() {
            whole["spec"][key] = value.clone();
        }
        NodeCapacity::of(&serde_json::from_value(whole).unwrap())
    }

    fn requirements(spec: Value) -> PodRequirements {
        let mut whole = json!({"containers": [{"name": "a"}]});
        for (key, value) in spec.as_object().unwrap() {
            whole[key] = value.clone();
        }
        PodRequirements::of(&serde_json::from_value(json!({"metadata": {}, "spec": whole})).unwrap())
    }

    fn affinity(key: &str, operator: &str, values: &[&str]) -> Value {
        let terms = json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]);
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    fn asks(cpu: &str, memory: &str) -> Value {
        json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]})
    }

    #[test]
    fn a_node_objects_as_the_scheduler_would() {
        let tainted = json!({"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]});
        let tolerating = json!({"tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes"}]});
        let tolerates_all = json!({"tolerations": [{"operator": "Exists"}]});
        for (node, pod, expected) in [
            (json!({}), json!({}), None),
            (json!({"unschedulable": true}), json!({}), Some(Closed)),
            (json!({}), json!({"nodeSelector": {"disk": "ssd"}}), None),
            (json!({}), json!({"nodeSelector": {"disk": "tape"}}), Some(NotSelected)),
            (json!({}), affinity("disk", "In", &["ssd", "nvme"]), None),
            (json!({}), affinity("disk", "NotIn", &["ssd"]), Some(NotSelected)),
            (json!({}), affinity("cores", "Gt", &["4"]), None),
            (json!({}), affinity("cores", "Gt", &["16"]), Some(NotSelected)),
            (tainted.clone(), json!({}), Some(Tainted)),
            (tainted.clone(), tolerating, None),
            (tainted, tolerates_all.clone(), None),
            // What lasts is told first, and a cordon is no obstacle to a pod that tolerates it.
            (json!({"unschedulable": true}), json!({"nodeSelector": {"disk": "tape"}}), Some(NotSelected)),
            (json!({"unschedulable": true}), tolerates_all, None),
            // Such taints come and go.
            (
                json!({"taints": [{"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}]}),
                json!({}),
                Some(Closed),
            ),
            (json!({"taints": [{"key": "x", "effect": "PreferNoSchedule"}]}), json!({}), None),
            (json!({}), asks("2000m", "1Gi"), None),
            (json!({}), asks("2100m", "1Gi"), Some(Full)),
            (json!({}), asks("1", "5Gi"), Some(Full)),
        ] {
            assert_eq!(capacity("w2", node.clone()).objection(&requirements(pod.clone())), expected, "{node} {pod}");
        }
    }

    #[test]
    fn running_pods_take_capacity() {
        let mut capacity = capacity("w2", json!({}));
        capacity.take(&requirements(asks("1500m", "1Gi")));
        assert_eq!(capacity.objection(&requirements(asks("500m", "1Gi"))), None);
        assert_eq!(capacity.objection(&requirements(asks("600m", "1Gi"))), Some(Full));
        capacity.take(&requirements(json!({})));
        assert_eq!(capacity.objection(&requirements(json!({}))), Some(Full), "two pods, not three");
    }
}
