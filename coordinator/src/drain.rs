//! Empties a node the polite way: by eviction, so that every disruption budget is honoured.
//!
//! What goes and what stays is decided by kubectl's own filters (`classify`, pure). Each eviction carries the UID
//! of the pod that was looked at, so that a successor of the same name is never hit. One LIST and one WATCH follow the
//! node's pods; a pod that was bound by a scheduler with a stale cache after the cordon is drained as well; at the end the
//! node is listed once more, and only an empty list is a drained node. The deadline ends everything, calls in flight
//! included.
//!
//! An apiserver that is restarted meanwhile is waited for: a drain often runs beside a roll of the control plane.

mod budget_watch;
mod budgets;
mod classify;
mod daemon_sets;
mod deadline;
mod display;
mod drainer;
mod error;
mod evict;
mod fit;
#[cfg(test)]
mod fixtures;
mod follow;
mod ledger;
mod list;
mod outlook;
mod pace;
mod pods;
mod policy;
mod preview;
mod report;
mod run;
mod selector;
mod surge;
mod survey;
mod verdicts;
mod volumes;
mod watching;
mod whereabouts;

use std::{collections::BTreeSet, time::Duration};

pub use display::never_lines;
pub use drainer::{Drainer, Refill};
pub use error::DrainError;
pub use outlook::{Outlook, PodOutlook};
pub use pods::{Owner, PodRef};
pub use policy::{DrainPolicy, Escalation};
pub use preview::{BudgetPreview, Confirm, DrainPreview};
pub use report::{
    BlockedPod, DrainProgress, Drained, EscalatedPod, FailedPod, MovedPod, RefusedPod, Remains, StayReason, StayingPod,
};
pub use selector::PodSelector;
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
    pub pod_selector: Option<PodSelector>,
    /// Delete pods instead of evicting them: disruption budgets do not count.
    pub disable_eviction: bool,
    /// What the site wants beyond kubectl's filters.
    pub policy: DrainPolicy,
    /// What is done about pods that do not go in time.
    pub escalation: Escalation,
    /// Other nodes that take no pods although they look as if they would: the same operation closes them.
    pub closed: BTreeSet<String>,
    /// Begin although pods can never be evicted as things stand.
    pub ignore_verdicts: bool,
    /// Pods to a page of a list; 0 for all at once.
    pub chunk_size: u32,
    /// How many evictions of one node may be in flight at most. The server's answers decide how many are.
    pub parallel: usize,
}

impl DrainOptions {
    /// The limit of a page, if there are pages.
    fn page(&self) -> Option<u32> {
        (self.chunk_size > 0).then_some(self.chunk_size)
    }

    /// What is asked of the server for each pod.
    fn manner(&self) -> evict::Manner {
        evict::Manner { grace_seconds: self.grace_seconds, delete: self.disable_eviction, dry_run: false }
    }
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
            disable_eviction: false,
            policy: DrainPolicy::default(),
            escalation: Escalation::default(),
            closed: BTreeSet::new(),
            ignore_verdicts: false,
            // As kubectl's.
            chunk_size: 500,
            // All that the nodes of an operation may have together: etcd writes what comes together in one go.
            parallel: pace::MOST,
        }
    }
}
