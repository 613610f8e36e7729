//! What a site, or an operator, wants of a drain beyond kubectl's filters.

use std::time::Duration;

use serde::Serialize;

use super::PodSelector;

/// Which pods are left alone, awaited or put in order. Empty: none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// Groups, in order: the pods of a group are evicted once those of earlier groups have gone. Pods of no group go last.
    pub order: Vec<PodSelector>,
}

impl Default for DrainPolicy {
    fn default() -> Self {
        Self {
            protected_namespaces: Vec::new(),
            skip: Vec::new(),
            wait_for_completion: Vec::new(),
            wait_for_jobs: false,
            surge: Vec::new(),
            // A machine whose volumes are still attached is not empty; where no pod had one, waiting costs nothing.
            wait_for_volumes: true,
            order: Vec::new(),
        }
    }
}

/// What is done about pods that do not go in time. Nothing, unless the operator asks for it by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Escalation {
    /// A pod still running this long after its eviction is deleted with the shortest grace period that lets its kubelet
    /// end it in order.
    pub kill_after: Option<Duration>,
    /// A pod whose eviction a budget has refused for this long is deleted, whatever the budget says.
    pub delete_after: Option<Duration>,
}
