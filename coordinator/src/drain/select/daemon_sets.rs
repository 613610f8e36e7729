//! Whether the DaemonSets that pods claim as their controllers exist.

use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet as ApiDaemonSet;
use kube::{Api, Client};

use super::{
    cache::Cache,
    filter::DaemonSet,
    pods::{Phase, PodFacts},
};
use crate::cluster::retry::{error_message, is_transient, retry};

/// How long an answer is reused: a hundred nodes have a pod of each DaemonSet, and one request serves all.
const MAX_AGE: Duration = Duration::from_secs(30);

/// What the API has said of each lately, by namespace and name. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct DaemonSets(Cache<(String, String), DaemonSet>);

impl Default for DaemonSets {
    fn default() -> Self {
        Self(Cache::new(MAX_AGE))
    }
}

impl DaemonSets {
    /// The one that controls this pod, if any. Waits for an API that does not answer, at most for `limit`.
    pub(crate) async fn of(&self, client: &Client, pod: &PodFacts, limit: Duration) -> Option<DaemonSet> {
        let owner = pod.daemon_set()?;
        if pod.phase == Phase::Finished {
            // It is evicted whatever the answer.
            return None;
        }
        let (namespace, name) = (&pod.pod.namespace, &owner.name);
        let key = (namespace.clone(), name.clone());
        let found = self.0.get_or_read(key, async || look_up(client, namespace, name, limit).await).await;
        Some(found.unwrap_or_else(DaemonSet::Unknown))
    }
}

/// What the server says of it; the reason if no server has said anything, which must not be reused.
async fn look_up(client: &Client, namespace: &str, name: &str, limit: Duration) -> Result<DaemonSet, String> {
    let daemon_sets: Api<ApiDaemonSet> = Api::namespaced(client.clone(), namespace);
    match retry(limit, || daemon_sets.get(name)).await {
        Ok(_) => Ok(DaemonSet::Exists),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(DaemonSet::Gone(status.message)),
        Err(error) if is_transient(&error) => Err(error_message(&error)),
        Err(error) => Ok(DaemonSet::Unknown(error_message(&error))),
    }
}
