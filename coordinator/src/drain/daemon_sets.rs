//! Whether the DaemonSets that pods claim as their controllers exist.

use std::collections::HashMap;

use k8s_openapi::api::apps::v1::DaemonSet as ApiDaemonSet;
use kube::{Api, Client};

use super::{
    classify::DaemonSet,
    patience::{patiently, words},
    pods::{Phase, PodFacts},
};

/// What the API has said about them so far, by namespace and name: each is asked for once.
#[derive(Debug, Default)]
pub(super) struct DaemonSets(HashMap<(String, String), DaemonSet>);

impl DaemonSets {
    /// The one that controls this pod, if any does. Waits while the API is not there.
    pub(super) async fn of(&mut self, client: &Client, pod: &PodFacts) -> Option<DaemonSet> {
        let owner = pod.daemon_set()?;
        if pod.phase == Phase::Finished {
            // It is evicted whatever the answer.
            return None;
        }
        let key = (pod.pod.namespace.clone(), owner.name.clone());
        if let Some(known) = self.0.get(&key) {
            return Some(known.clone());
        }
        let found = look_up(client, &key.0, &key.1).await;
        self.0.insert(key, found.clone());
        Some(found)
    }
}

async fn look_up(client: &Client, namespace: &str, name: &str) -> DaemonSet {
    let daemon_sets: Api<ApiDaemonSet> = Api::namespaced(client.clone(), namespace);
    match patiently(|| daemon_sets.get(name)).await {
        Ok(_) => DaemonSet::Exists,
        Err(kube::Error::Api(status)) if status.is_not_found() => DaemonSet::Gone(status.message),
        Err(error) => DaemonSet::Unknown(words(&error)),
    }
}
