//! What a site, or an operator, wants of a drain beyond kubectl's filters.

use serde::Serialize;

use super::{PodSelector, pods::PodFacts};

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

    /// The pod's group, from 0.
    pub(super) fn group(&self, pod: &PodFacts) -> usize {
        self.order.iter().position(|selector| selector.selects(&pod.labels)).unwrap_or(self.order.len())
    }
}
