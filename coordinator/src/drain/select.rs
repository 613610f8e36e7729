//! Which pods of a node a drain is about, and which of them go, stay, or forbid it.

mod cache;
mod daemon_sets;
mod filter;
#[cfg(test)]
mod fixtures;
mod list;
mod pods;
mod policy;
mod taints;

pub(crate) use self::{
    cache::Cache,
    daemon_sets::DaemonSets,
    filter::{Filtered, RefusalCause, filter},
    list::{PAGE, REQUEST_LIMIT, fold, if_allowed, of_node, selectors},
    pods::{Claim, Phase, PodFacts},
    policy::{awaits_completion, group, surges},
    taints::{UNSCHEDULABLE, is_passing, tolerate_a_cordon, tolerates},
};
#[cfg(test)]
pub(crate) use self::{
    fixtures::{pod, replica_set},
    pods::Deletion,
};
