//! What an operator and a site want of a drain. How it is done is the coordinator's `drain` module.

mod policy;
mod selector;

use std::{collections::BTreeSet, time::Duration};

pub use self::{
    policy::{DrainPolicy, Escalation},
    selector::PodSelector,
};

/// The most evictions in flight at a time: a third of the writes that an apiserver takes at a time by default
/// (`--max-mutating-requests-inflight` 200).
pub const MOST_IN_FLIGHT: usize = 64;

/// What may be evicted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainOptions {
    /// After this time the drain gives up, whatever it waits for.
    pub timeout: Duration,
    /// Grace period in seconds instead of each pod's own; 0 kills at once.
    pub grace_seconds: Option<u32>,
    /// Whether to evict bare pods, which nothing brings back, and pods of a DaemonSet that is gone.
    pub force: bool,
    /// Whether to leave pods of DaemonSets alone, which would come back at once; else they forbid the drain.
    pub ignore_daemon_sets: bool,
    /// Whether to evict pods with `emptyDir` volumes, whose data is lost with them.
    pub delete_empty_dir_data: bool,
    /// Do not wait for pods whose grace period ended longer ago than this: their kubelet is gone.
    pub skip_wait_for_delete: Option<Duration>,
    /// Drain only the pods with these labels, in kubectl's notation.
    pub pod_selector: Option<PodSelector>,
    /// Whether to delete pods instead of evicting them, regardless of disruption budgets.
    pub disable_eviction: bool,
    /// What the site wants beyond kubectl's filters.
    pub policy: DrainPolicy,
    /// What to do about pods that do not go in time.
    pub escalation: Escalation,
    /// Nodes that will take no pods although they look as if they would: the same operation closes them.
    pub closed: BTreeSet<String>,
    /// Whether to begin although some pods can never be evicted as things stand.
    pub ignore_verdicts: bool,
    /// Pods per page of a list; 0 for all at once.
    pub chunk_size: u32,
    /// How many evictions of one node may be in flight at most. The server's answers decide how many actually are.
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
            disable_eviction: false,
            policy: DrainPolicy::default(),
            escalation: Escalation::default(),
            closed: BTreeSet::new(),
            ignore_verdicts: false,
            // As kubectl's.
            chunk_size: 500,
            // As many as all nodes of an operation together: etcd commits concurrent writes in one batch.
            parallel: MOST_IN_FLIGHT,
        }
    }
}
