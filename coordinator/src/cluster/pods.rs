//! The pods of a node: those that belong to it (of DaemonSets, and static ones), and its guests.

use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, ObjectList},
};

use super::{Cluster, ClusterError};
use crate::facts::own_pods::{OwnPod, Source};

/// The annotation of a static pod's mirror.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// What runs on a control-plane machine, whatever runs it.
const CONTROL_PLANE: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

impl Cluster {
    /// The node's static pods that are part of a control plane, as `namespace/name`.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn static_control_plane_pods(&self, node: &str) -> Result<Vec<String>, ClusterError> {
        let pods = self.pods_on(node).await?;
        let found = pods.iter().filter(|pod| {
            let name = pod.name_any();
            let component = name.strip_suffix(node).and_then(|name| name.strip_suffix('-')).unwrap_or(&name);
            is_mirror(pod) && CONTROL_PLANE.contains(&component)
        });
        Ok(found.map(place).collect())
    }

    /// The node's own pods: of DaemonSets, and mirrors of static pods.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn own_pods(&self, node: &str) -> Result<Vec<OwnPod>, ClusterError> {
        let pods = self.pods_on(node).await?;
        let own = pods.iter().filter_map(|pod| {
            Some(OwnPod {
                place: place(pod),
                source: source(pod)?,
                ready: is_ready(pod),
                finished: is_finished(pod),
                containers: containers(pod).map(str::to_owned).collect(),
            })
        });
        Ok(own.collect())
    }

    /// Whether there is a DaemonSet of this name, and it is not being deleted.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn has_daemon_set(&self, namespace: &str, name: &str) -> Result<bool, ClusterError> {
        let api: Api<DaemonSet> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("read the DaemonSet {namespace}/{name}");
        let found = self.patiently(&what, || api.get_metadata_opt(name)).await?;
        Ok(found.is_some_and(|found| found.metadata.deletion_timestamp.is_none()))
    }

    /// How many pods the node has that do not belong to it: neither of DaemonSets nor static, and neither ended nor on their way.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn guests_on(&self, node: &str) -> Result<usize, ClusterError> {
        let pods = self.pods_on(node).await?;
        Ok(pods.iter().filter(|pod| source(pod).is_none() && !is_finished(pod)).count())
    }

    async fn pods_on(&self, node: &str) -> Result<ObjectList<Pod>, ClusterError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        self.patiently(&format!("list the pods of {node}"), || api.list(&params)).await
    }
}

fn place(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// What puts the pod on its node and on no other; none for pods that a scheduler placed.
fn source(pod: &Pod) -> Option<Source> {
    if is_mirror(pod) {
        return Some(Source::File(place(pod)));
    }
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    is_daemon_set(&owner.api_version, &owner.kind)
        .then(|| Source::DaemonSet { namespace: pod.namespace().unwrap_or_default(), name: owner.name.clone() })
}

/// The ids of the pod's containers that its kubelet has started.
fn containers(pod: &Pod) -> impl Iterator<Item = &str> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let ids = statuses.into_iter().flatten().filter_map(|status| status.container_id.as_deref());
    ids.filter(|id| !id.is_empty())
}

/// Whether it mirrors a static pod, which a kubelet runs from a file.
pub(crate) fn is_mirror(pod: &Pod) -> bool {
    pod.annotations().contains_key(MIRROR_ANNOTATION)
}

/// Whether an owner is Kubernetes' own DaemonSet, which puts one pod on each node and ignores a cordon.
pub(crate) fn is_daemon_set(api_version: &str, kind: &str) -> bool {
    api_version == "apps/v1" && kind == "DaemonSet"
}

/// A pod that graceful node shutdown ended stays behind as Failed; its DaemonSet makes another.
fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded")) || pod.metadata.deletion_timestamp.is_some()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
}
