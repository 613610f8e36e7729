//! What kubelets do for the rows: they end pods that were told to go.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::task::JoinHandle;

/// A pod with this annotation does not end, as on a node whose kubelet is dead.
pub(crate) const NEVER_ENDS: &str = "test.example.com/never-ends";

/// Ends the pods of all nodes at once, whatever their grace, and remembers how long each was given.
pub(crate) struct Kubelet {
    graces: Arc<Mutex<BTreeMap<String, i64>>>,
    task: JoinHandle<()>,
}

impl Kubelet {
    pub(crate) fn start(client: Client) -> Self {
        let graces = Arc::default();
        let task = tokio::spawn(run(client, Arc::clone(&graces)));
        Self { graces, task }
    }

    /// How many seconds a pod was given to end; `None` if it was gone at once.
    pub(crate) fn grace(&self, uid: &str) -> Option<i64> {
        self.graces.lock().unwrap_or_else(PoisonError::into_inner).get(uid).copied()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(client: Client, graces: Arc<Mutex<BTreeMap<String, i64>>>) {
    let pods = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default());
    // A watch that breaks begins again.
    let pods = pods.default_backoff().applied_objects().filter_map(async |pod| pod.ok());
    let end = pods.for_each(async |pod| {
        let metadata = pod.metadata;
        let grace = metadata.deletion_grace_period_seconds.unwrap_or_default();
        if metadata.deletion_timestamp.is_none() || grace == 0 {
            return;
        }
        let (name, uid) = (metadata.name.unwrap_or_default(), metadata.uid.unwrap_or_default());
        graces.lock().unwrap_or_else(PoisonError::into_inner).entry(uid.clone()).or_insert(grace);
        if metadata.annotations.is_none_or(|annotations| !annotations.contains_key(NEVER_ENDS)) {
            let pods: Api<Pod> = Api::namespaced(client.clone(), &metadata.namespace.unwrap_or_default());
            let this_one = Preconditions { uid: Some(uid), resource_version: None };
            let now = DeleteParams { preconditions: Some(this_one), ..DeleteParams::default().grace_period(0) };
            // The row may have been faster.
            let _ = pods.delete(&name, &now).await;
        }
    });
    end.await;
}
