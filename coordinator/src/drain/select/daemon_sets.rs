//! Whether the DaemonSets that pods claim as their controllers exist.

use std::{convert::Infallible, time::Duration};

use k8s_openapi::api::apps::v1::DaemonSet as ApiDaemonSet;
use kube::{Api, Client};

use super::{
    cache::Cache,
    filter::DaemonSet,
    list::REQUEST_LIMIT,
    pods::{Phase, PodFacts},
};
use crate::cluster::retry::{error_message, retry};

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
    /// The one that controls this pod, if any. Waits a while for an API that does not answer.
    pub(crate) async fn of(&self, client: &Client, pod: &PodFacts) -> Option<DaemonSet> {
        let owner = pod.daemon_set()?;
        if pod.phase == Phase::Finished {
            // It is evicted whatever the answer.
            return None;
        }
        let (namespace, name) = (&pod.pod.namespace, &owner.name);
        let key = (namespace.clone(), name.clone());
        let Ok(daemon_set) =
            self.0.get_or_read(key, async || Ok::<_, Infallible>(look_up(client, namespace, name).await)).await;
        Some(daemon_set)
    }
}

async fn look_up(client: &Client, namespace: &str, name: &str) -> DaemonSet {
    let daemon_sets: Api<ApiDaemonSet> = Api::namespaced(client.clone(), namespace);
    match retry(REQUEST_LIMIT, || daemon_sets.get(name)).await {
        Ok(_) => DaemonSet::Exists,
        Err(kube::Error::Api(status)) if status.is_not_found() => DaemonSet::Gone(status.message),
        Err(error) => DaemonSet::Unknown(error_message(&error)),
    }
}
