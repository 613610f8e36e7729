//! How pods leave a Node: the flags of everything that drains.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    drain::{DrainOptions, DrainPolicy, Escalation, PodSelector},
    seconds,
    site::Site,
};

/// A drain without a limit: kubectl's 0. Long enough for any drain, short enough for every clock.
const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the operator said about evictions. `usher drain --help` explains each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Eviction {
    pub force: bool,
    pub ignore_daemonsets: bool,
    pub delete_emptydir_data: bool,
    /// Seconds for each pod to end; unset, its own.
    pub grace_period: Option<u32>,
    /// Zero means no limit; unset, the site's default.
    #[serde(rename = "drainTimeoutSeconds", with = "seconds::option")]
    pub drain_timeout: Option<Duration>,
    pub pod_selector: Option<PodSelector>,
    pub disable_eviction: bool,
    /// Unset: wait for every pod.
    #[serde(rename = "skipWaitForDeleteTimeoutSeconds", with = "seconds::option")]
    pub skip_wait_for_delete_timeout: Option<Duration>,
    /// Pods to a page of a list; 0 for all at once.
    pub chunk_size: u32,
    pub skip_pods: Vec<PodSelector>,
    pub wait_for: Vec<PodSelector>,
    pub wait_for_jobs: bool,
    pub evict_first: Vec<PodSelector>,
    pub surge: Vec<PodSelector>,
    /// Unset: as the cluster file says.
    pub wait_for_volumes: Option<bool>,
    #[serde(rename = "killAfterSeconds", with = "seconds::option")]
    pub kill_after: Option<Duration>,
    #[serde(rename = "deleteAfterSeconds", with = "seconds::option")]
    pub delete_after: Option<Duration>,
    pub allow_namespace: Vec<String>,
    pub ignore_verdicts: bool,
}

impl Default for Eviction {
    fn default() -> Self {
        Self {
            force: false,
            // Unlike kubectl: nobody wants a drain that every DaemonSet forbids.
            ignore_daemonsets: true,
            delete_emptydir_data: false,
            grace_period: None,
            drain_timeout: None,
            pod_selector: None,
            disable_eviction: false,
            skip_wait_for_delete_timeout: None,
            chunk_size: 500,
            skip_pods: Vec::new(),
            wait_for: Vec::new(),
            wait_for_jobs: false,
            evict_first: Vec::new(),
            surge: Vec::new(),
            wait_for_volumes: None,
            kill_after: None,
            delete_after: None,
            allow_namespace: Vec::new(),
            ignore_verdicts: false,
        }
    }
}

impl Eviction {
    /// What a drain on this site may do.
    pub fn options(&self, site: &Site) -> DrainOptions {
        let timeout = match self.drain_timeout {
            Some(limit) if limit.is_zero() => NO_LIMIT,
            Some(limit) => limit.min(NO_LIMIT),
            None => site.defaults.drain_timeout,
        };
        DrainOptions {
            timeout,
            grace_seconds: self.grace_period,
            force: self.force,
            ignore_daemon_sets: self.ignore_daemonsets,
            delete_empty_dir_data: self.delete_emptydir_data,
            skip_wait_for_delete: self.skip_wait_for_delete_timeout.filter(|limit| !limit.is_zero()),
            pod_selector: self.pod_selector.clone(),
            policy: self.policy(&site.drain),
            escalation: Escalation { kill_after: self.kill_after, delete_after: self.delete_after },
            disable_eviction: self.disable_eviction,
            ignore_verdicts: self.ignore_verdicts,
            chunk_size: self.chunk_size,
            ..DrainOptions::default()
        }
    }

    /// The site's policy with what the operator adds to it.
    fn policy(&self, site: &DrainPolicy) -> DrainPolicy {
        let mut policy = site.clone();
        policy.protected_namespaces.retain(|namespace| !self.allow_namespace.contains(namespace));
        policy.skip.extend_from_slice(&self.skip_pods);
        policy.wait_for_completion.extend_from_slice(&self.wait_for);
        policy.wait_for_jobs |= self.wait_for_jobs;
        policy.surge.extend_from_slice(&self.surge);
        policy.wait_for_volumes = self.wait_for_volumes.unwrap_or(policy.wait_for_volumes);
        // The operator's groups go before the site's.
        policy.order.splice(..0, self.evict_first.iter().cloned());
        policy
    }
}
