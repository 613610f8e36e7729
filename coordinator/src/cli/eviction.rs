//! Flags of everything that drains.

use std::time::Duration;

use clap::Args;

use super::values::duration;
use crate::{drain::PodSelector, request};

/// How pods leave a node. The flags mean what they mean to `kubectl drain`; docs/drain.md says where usher differs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Drain options, as kubectl's")]
pub(crate) struct Eviction {
    /// Also delete pods that no controller would bring back, and those of a DaemonSet that is gone.
    #[arg(long)]
    pub(crate) force: bool,
    /// Leave the pods of DaemonSets alone; unlike kubectl's, on by default.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value_t = true, default_missing_value = "true",
          require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) ignore_daemonsets: bool,
    /// Also evict pods with emptyDir volumes, whose data is lost.
    #[arg(long)]
    pub(crate) delete_emptydir_data: bool,
    /// Seconds each pod gets to end; negative means the pod's own grace period, 0 kills at once.
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) grace_period: i64,
    /// Give up on a node's drain after this time, and take its cordon back; 0 means never.
    #[arg(long, alias = "timeout", value_name = "DURATION", value_parser = duration)]
    pub(crate) drain_timeout: Option<Duration>,
    /// Drain only the pods with these labels.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) pod_selector: Option<PodSelector>,
    /// Delete pods instead of evicting them, in spite of disruption budgets.
    #[arg(long)]
    pub(crate) disable_eviction: bool,
    /// Do not wait for pods that should have ended longer ago than this; 0 means wait.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) skip_wait_for_delete_timeout: Option<u64>,
    /// Pods to a page of a list; 0 means all at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    pub(crate) chunk_size: u32,
    /// Leave the pods with these labels alone; may be repeated.
    #[arg(long, value_name = "SELECTOR", help_heading = "Drain options of usher's own")]
    pub(crate) skip_pods: Vec<PodSelector>,
    /// Wait until the pods with these labels have ended by themselves; may be repeated.
    #[arg(long, value_name = "SELECTOR", help_heading = "Drain options of usher's own")]
    pub(crate) wait_for: Vec<PodSelector>,
    /// The same for all pods of Jobs.
    #[arg(long, help_heading = "Drain options of usher's own")]
    pub(crate) wait_for_jobs: bool,
    /// Evict the pods with these labels, and wait until they have gone, before others; may be repeated, in order.
    #[arg(long, value_name = "SELECTOR", help_heading = "Drain options of usher's own")]
    pub(crate) evict_first: Vec<PodSelector>,
    /// Of the pods with these labels, replace lone replicas of Deployments before they go; may be repeated.
    #[arg(long, value_name = "SELECTOR", help_heading = "Drain options of usher's own")]
    pub(crate) surge: Vec<PodSelector>,
    /// When the pods have gone, wait until their volumes are detached; on unless the cluster file says otherwise.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true,
          help_heading = "Drain options of usher's own")]
    pub(crate) wait_for_volumes: Option<bool>,
    /// Kill pods still running this long after their eviction, by cutting their grace period to 1 s.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Drain options of usher's own")]
    pub(crate) kill_after: Option<Duration>,
    /// Delete pods that a disruption budget has blocked for this long, in spite of the budget.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Drain options of usher's own")]
    pub(crate) delete_after: Option<Duration>,
    /// Evict pods of this namespace although the cluster file protects it; may be repeated.
    #[arg(long, value_name = "NAMESPACE", help_heading = "Drain options of usher's own")]
    pub(crate) allow_namespace: Vec<String>,
    /// Start even if some pods can never be evicted; evict the rest, then fail.
    #[arg(long, help_heading = "Drain options of usher's own")]
    pub(crate) ignore_verdicts: bool,
}

impl Eviction {
    /// The flags as the part of a request that they are.
    pub(crate) fn to_request(&self) -> request::Eviction {
        let Self {
            force,
            ignore_daemonsets,
            delete_emptydir_data,
            grace_period,
            drain_timeout,
            pod_selector,
            disable_eviction,
            skip_wait_for_delete_timeout,
            chunk_size,
            skip_pods,
            wait_for,
            wait_for_jobs,
            evict_first,
            surge,
            wait_for_volumes,
            kill_after,
            delete_after,
            allow_namespace,
            ignore_verdicts,
        } = self;
        request::Eviction {
            force: *force,
            ignore_daemonsets: *ignore_daemonsets,
            delete_emptydir_data: *delete_emptydir_data,
            // Negative means each pod's own.
            grace_period: u32::try_from(*grace_period).ok(),
            drain_timeout: *drain_timeout,
            pod_selector: pod_selector.clone(),
            disable_eviction: *disable_eviction,
            skip_wait_for_delete_timeout: skip_wait_for_delete_timeout.map(Duration::from_secs),
            chunk_size: *chunk_size,
            skip_pods: skip_pods.clone(),
            wait_for: wait_for.clone(),
            wait_for_jobs: *wait_for_jobs,
            evict_first: evict_first.clone(),
            surge: surge.clone(),
            wait_for_volumes: *wait_for_volumes,
            kill_after: *kill_after,
            delete_after: *delete_after,
            allow_namespace: allow_namespace.clone(),
            ignore_verdicts: *ignore_verdicts,
        }
    }
}
