//! The list of pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde::Serialize;
use usher_common::clock;

use super::{
    object,
    printer::{Printed, print},
    why::why_not_ready,
};
use crate::{
    cluster::{Cluster, ClusterError},
    workloads::{Namespaces, read},
};

/// Which pods, and how much of each.
#[derive(Debug, Clone, Default)]
pub struct PodFilter {
    /// A label selector in kubectl's notation.
    pub selector: Option<String>,
    /// Only the pods that are bound to this Node.
    pub node: Option<String>,
    /// Whether to keep images, too.
    pub images: bool,
}

/// What is kept of a pod: a few hundred bytes, whatever the pod's size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRow {
    pub namespace: String,
    pub name: String,
    /// Containers that are ready, sidecars included.
    pub ready: u32,
    pub containers: u32,
    /// As kubectl's column STATUS has it.
    pub status: String,
    pub restarts: u32,
    /// When the container that was restarted last had ended.
    pub last_restart: Option<Timestamp>,
    pub created: Option<Timestamp>,
    /// None while it is not scheduled.
    pub node: Option<String>,
    pub ip: Option<String>,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// Of its containers, in their order; empty unless they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// The pods, by namespace and name.
///
/// # Errors
///
/// If the API does not answer or forbids it; a selector that the server cannot parse is its 400.
pub async fn pods(cluster: &Cluster, namespaces: &Namespaces, filter: &PodFilter) -> Result<Vec<PodRow>, ClusterError> {
    let field_selector = filter.node.as_ref().map(|node| format!("spec.nodeName={node}"));
    let params = ListParams { label_selector: filter.selector.clone(), field_selector, ..ListParams::default() };
    let now = clock::now();
    let add = |rows: &mut Vec<PodRow>, pod: object::Pod| rows.push(row(pod, filter.images, now));
    read::fold::<Pod, _, _>((cluster, namespaces), params, "list the pods", Vec::new(), add).await
}

fn row(pod: object::Pod, images: bool, now: Timestamp) -> PodRow {
    let Printed { ready, containers, status, restarts, last_restart } = print(&pod);
    let reason = why_not_ready(&pod, now);
    let object::Pod { metadata, spec, status: reported } = pod;
    PodRow {
        namespace: metadata.namespace,
        name: metadata.name,
        ready,
        containers,
        status,
        restarts,
        last_restart,
        created: metadata.creation_timestamp,
        node: spec.node_name,
        ip: reported.pod_ip,
        reason,
        images: if images { spec.containers.into_iter().map(|it| it.image).collect() } else { Vec::new() },
    }
}
