//! Whether the DaemonSets that pods claim as their controllers exist.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::apps::v1::DaemonSet as ApiDaemonSet;
use kube::{Api, Client};
use tokio::{sync::Mutex, time::Instant};

use super::{
    classify::DaemonSet,
    list::PATIENCE,
    pods::{Phase, PodFacts},
};
use crate::cluster::retry::{error_message, retry};

/// For so long an answer is good: a hundred nodes have a pod of each DaemonSet, and it is asked for once.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// What the API has said about them lately. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct DaemonSets(Arc<Mutex<Answers>>);

/// When each was asked for, by namespace and name, and the answer.
type Answers = HashMap<(String, String), (Instant, DaemonSet)>;

impl DaemonSets {
    /// The one that controls this pod, if any does. Waits a while if the API is not there.
    pub(super) async fn of(&self, client: &Client, pod: &PodFacts) -> Option<DaemonSet> {
        let owner = pod.daemon_set()?;
        if pod.phase == Phase::Finished {
            // It is evicted whatever the answer.
            return None;
        }
        let key = (pod.pod.namespace.clone(), owner.name.clone());
        // Held while the API is asked, so that others wait for the same answer.
        let mut known = self.0.lock().await;
        if let Some((asked, answer)) = known.get(&key)
            && asked.elapsed() < GOOD_FOR
        {
            return Some(answer.clone());
        }
        let found = look_up(client, &key.0, &key.1).await;
        known.insert(key, (Instant::now(), found.clone()));
        Some(found)
    }
}

async fn look_up(client: &Client, namespace: &str, name: &str) -> DaemonSet {
    let daemon_sets: Api<ApiDaemonSet> = Api::namespaced(client.clone(), namespace);
    match retry(PATIENCE, || daemon_sets.get(name)).await {
        Ok(_) => DaemonSet::Exists,
        Err(kube::Error::Api(status)) if status.is_not_found() => DaemonSet::Gone(status.message),
        Err(error) => DaemonSet::Unknown(error_message(&error)),
    }
}
