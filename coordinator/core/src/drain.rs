//! What an operator and a site want of a drain. How it is done is the coordinator's `drain` module.

mod policy;
mod selector;

use std::{collections::BTreeSet, time::Duration};

pub use self::{
    policy::{DrainPolicy, Escalation},
    selector::PodSelector,
};

/// Never more evictions at a time: a third of the writes that an apiserver takes at a time by default
/// (`--max-mutating-requests-inflight` 200).
pub const MOST_IN_FLIGHT: usize = 64;

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
            parallel: MOST_IN_FLIGHT,
        }
    }
}
