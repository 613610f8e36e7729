//! What a site, or an operator, wants of a drain beyond kubectl's filters.

use std::time::Duration;

use serde::Serialize;

use super::PodSelector;

/// Which pods to skip, to await, to replace first, and in which order the others go. Empty lists match no pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrainPolicy {
    /// Pods in these namespaces forbid a drain.
    pub protected_namespaces: Vec<String>,
    /// These pods are left alone, whatever kubectl's filters say.
    pub skip: Vec<PodSelector>,
    /// These pods must end by themselves before they are evicted.
    pub wait_for_completion: Vec<PodSelector>,
    /// Whether the same applies to all pods of Jobs.
    pub wait_for_jobs: bool,
    /// A lone replica of a Deployment among these pods is replaced before it goes.
    pub surge: Vec<PodSelector>,
    /// Whether to wait until the volumes of the pods that have gone are detached from the node.
    pub wait_for_volumes: bool,
    /// Groups: the pods of one group have gone before the first of the next is evicted. Pods of no group go last.
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

/// What to do about pods that do not go in time: nothing, unless the operator asks for it by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Escalation {
    /// A pod that is still running this long after its eviction is deleted again, with the shortest grace period that lets its
    /// kubelet end it in order.
    pub kill_after: Option<Duration>,
    /// A pod that a budget has blocked for this long is deleted, regardless of the budget.
    pub delete_after: Option<Duration>,
}
