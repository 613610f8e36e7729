//! What a site, or an operator, wants of a drain beyond kubectl's filters.

use std::time::Duration;

use serde::Serialize;

use super::{
    PodSelector,
    pods::{Phase, PodFacts},
};

/// Which pods are left alone, awaited or put in order. Empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DrainPolicy {
    /// Pods in these namespaces forbid a drain.
    pub protected_namespaces: Vec<String>,
    /// These pods are left alone, whatever else is true of them.
    pub skip: Vec<PodSelector>,
    /// These pods are not evicted before they have ended by themselves.
    pub wait_for_completion: Vec<PodSelector>,
    /// The same for all pods of Jobs.
    pub wait_for_jobs: bool,
    /// Of these pods, lone replicas of Deployments are replaced before they go.
    pub surge: Vec<PodSelector>,
    /// When the pods have gone, wait until their volumes are detached from the node.
    pub wait_for_volumes: bool,
    /// Groups: pods of an earlier one have gone before the first of a later one is told to go. Those of none go last.
    pub order: Vec<PodSelector>,
}

impl DrainPolicy {
    pub(super) fn skips(&self, pod: &PodFacts) -> bool {
        self.skip.iter().any(|selector| selector.selects(&pod.labels))
    }

    pub(super) fn protects(&self, pod: &PodFacts) -> bool {
        self.protected_namespaces.contains(&pod.pod.namespace)
    }

    /// Whether the pod is to end by itself first.
    pub(super) fn awaits(&self, pod: &PodFacts) -> bool {
        let of_job =
            pod.owner.as_ref().is_some_and(|owner| owner.kind == "Job" && owner.api_version.starts_with("batch/"));
        (self.wait_for_jobs && of_job) || self.wait_for_completion.iter().any(|selector| selector.selects(&pod.labels))
    }

    /// Whether another one is to be started first, if the pod is a lone replica of a Deployment.
    pub(super) fn surges(&self, pod: &PodFacts) -> bool {
        pod.phase != Phase::Finished && self.surge.iter().any(|selector| selector.selects(&pod.labels))
    }

    /// The pod's group, from 0.
    pub(super) fn group(&self, pod: &PodFacts) -> usize {
        self.order.iter().position(|selector| selector.selects(&pod.labels)).unwrap_or(self.order.len())
    }
}

/// What is done about pods that do not go in time. Nothing, unless the operator asks for it by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Escalation {
    /// A pod that has not ended so long after it was told to go is told again, with the shortest grace that lets its kubelet
    /// end it in order.
    pub kill_after: Option<Duration>,
    /// A pod that a budget has refused for so long is deleted, whatever the budget says.
    pub delete_after: Option<Duration>,
}
