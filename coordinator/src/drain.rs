//! Empties a node the polite way: by eviction, so that every disruption budget is honoured.
//!
//! What goes and what stays is decided by kubectl's own filters (`classify`, pure). Each eviction carries the UID
//! of the pod that was looked at, so that a successor of the same name is never hit. One LIST and one WATCH follow the
//! node's pods; a pod that was bound by a scheduler with a stale cache after the cordon is drained as well; at the end the
//! node is listed once more, and only an empty list is a drained node. The deadline ends everything, calls in flight
//! included.
//!
//! An apiserver that is restarted meanwhile is waited for: a drain often runs beside a roll of the control plane.

mod budgets;
mod classify;
mod daemon_sets;
mod display;
mod error;
mod evict;
mod ledger;
mod patience;
mod pods;
mod preview;
mod report;
mod run;
mod whereabouts;

use std::time::Duration;

pub use error::DrainError;
pub use pods::{Owner, PodRef};
pub use preview::{BudgetPreview, DrainPreview, preview};
pub use report::{
    BlockedPod, DrainProgress, Drained, FailedPod, MovedPod, RefusedPod, Remains, StayReason, StayingPod,
};
pub use run::run;
pub use whereabouts::{Whereabouts, whereabouts};

/// What may be evicted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainOptions {
    /// After this time the drain ends, whatever it waits for.
    pub timeout: Duration,
    /// Grace in seconds instead of each pod's own; 0 kills at once.
    pub grace_seconds: Option<u32>,
    /// Evict pods that nothing would bring back, and those of a DaemonSet that is gone.
    pub force: bool,
    /// Leave the pods of DaemonSets alone (they would come back at once); else they forbid the drain.
    pub ignore_daemon_sets: bool,
    /// Evict pods although the data in their `emptyDir` volumes is lost with them.
    pub delete_empty_dir_data: bool,
    /// Do not wait for pods whose grace ended longer ago than this: their kubelet is gone.
    pub skip_wait_for_delete: Option<Duration>,
    /// Drain only the pods with these labels, in kubectl's notation.
    pub pod_selector: Option<String>,
    /// How many evictions may be in flight.
    pub parallel: usize,
}

impl Default for DrainOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10 * 60),
            grace_seconds: None,
            force: false,
            ignore_daemon_sets: true,
            delete_empty_dir_data: false,
            skip_wait_for_delete: None,
            pod_selector: None,
            // An eviction takes the apiserver some milliseconds, a few writes in etcd: ten at a time empty a full node
            // (110 pods) in a second and are no burden.
            parallel: 10,
        }
    }
}
