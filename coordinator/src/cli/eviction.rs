//! Flags of everything that drains.

use std::time::Duration;

use clap::Args;

use super::duration;
use crate::drain::PodSelector;

/// How pods leave a node. The flags mean what they mean to `kubectl drain`; docs/drain.md says where usher differs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Drain options, as kubectl's")]
pub struct Eviction {
    /// Also delete pods that no controller would bring back, and those of a DaemonSet that is gone.
    #[arg(long)]
    pub force: bool,
    /// Leave the pods of DaemonSets alone; unlike kubectl's, on by default.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value_t = true, default_missing_value = "true",
          require_equals = true, action = clap::ArgAction::Set)]
    pub ignore_daemonsets: bool,
    /// Also evict pods with emptyDir volumes, whose data is lost.
    #[arg(long)]
    pub delete_emptydir_data: bool,
    /// Seconds that each pod is given to end; negative means its own, 0 kills at once.
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    pub grace_period: i64,
    /// Give up on a node's drain after this time, and take its cordon back; 0 means never.
    #[arg(long, alias = "timeout", value_name = "DURATION", value_parser = duration)]
    pub drain_timeout: Option<Duration>,
    /// Drain only the pods with these labels.
    #[arg(long, value_name = "SELECTOR")]
    pub pod_selector: Option<PodSelector>,
    /// Delete pods instead of evicting them: disruption budgets do not count.
    #[arg(long)]
    pub disable_eviction: bool,
    /// Do not wait for pods that should have ended longer ago than this; 0 means wait.
    #[arg(long, value_name = "SECONDS")]
    pub skip_wait_for_delete_timeout: Option<u64>,
    /// Pods to a page of a list; 0 for all at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    pub chunk_size: u32,
    /// Leave the pods with these labels alone; may be repeated.
    #[arg(long, value_name = "SELECTOR", help_heading = "Drain options of usher's own")]
    pub skip_pods: Vec<PodSelector>,
    /// Do not evict the pods with these labels before they have ended by themselves; may be repeated.
    #[arg(long, value_name = "SELECTOR", help_heading = "Drain options of usher's own")]
    pub wait_for: Vec<PodSelector>,
    /// The same for all pods of Jobs.
    #[arg(long, help_heading = "Drain options of usher's own")]
    pub wait_for_jobs: bool,
    /// Evict the pods with these labels, and wait until they have gone, before others; may be repeated, in order.
    #[arg(long, value_name = "SELECTOR", help_heading = "Drain options of usher's own")]
    pub evict_first: Vec<PodSelector>,
    /// Of the pods with these labels, replace lone replicas of Deployments before they go; may be repeated.
    #[arg(long, value_name = "SELECTOR", help_heading = "Drain options of usher's own")]
    pub surge: Vec<PodSelector>,
    /// When the pods have gone, wait until their volumes are detached; on unless the cluster file says otherwise.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true,
          help_heading = "Drain options of usher's own")]
    pub wait_for_volumes: Option<bool>,
    /// Kill pods that have not ended so long after they were told to go: their grace is cut to 1 s.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Drain options of usher's own")]
    pub kill_after: Option<Duration>,
    /// Delete pods that a disruption budget has refused for so long: the budget does not count then.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Drain options of usher's own")]
    pub delete_after: Option<Duration>,
    /// Let pods of this namespace go although the cluster file protects it; may be repeated.
    #[arg(long, value_name = "NAMESPACE", help_heading = "Drain options of usher's own")]
    pub allow_namespace: Vec<String>,
    /// Begin although pods can never be evicted as things stand; evicts the others, then gives up.
    #[arg(long, help_heading = "Drain options of usher's own")]
    pub ignore_verdicts: bool,
}
