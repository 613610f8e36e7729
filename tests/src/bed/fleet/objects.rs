//! What a fleet is made of, as the API takes it, and what it says of itself.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Node, policy::v1::PodDisruptionBudget};
use serde_json::{Map, Value, json};

use super::{Pool, Workload};

/// The label of all fake nodes; its value is the pool's name.
pub(super) const POOL: &str = "fleet.usher.dev/pool";

/// The label of the pods that nobody replaces.
pub(super) const BARE: &str = "fleet.usher.dev/bare";

/// A kubelet registers its node with what it can take, and so does this.
pub(super) fn node(pool: Pool, name: &str, room: usize, labels: &[(&str, &str)]) -> Value {
    let mut all = Map::from_iter([
        (POOL.to_owned(), json!(pool.0)),
        ("kubernetes.io/hostname".to_owned(), json!(name)),
        ("kubernetes.io/os".to_owned(), json!("linux")),
        ("kubernetes.io/arch".to_owned(), json!("amd64")),
    ]);
    all.extend(labels.iter().map(|&(key, value)| (key.to_owned(), json!(value))));
    let room = json!({ "cpu": "1000", "memory": "4Ti", "pods": room.to_string() });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": all, "annotations": { "kwok.x-k8s.io/node": "fake" } },
        // The bed's own pods stay on the real workers.
        "spec": { "taints": [{ "key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule" }] },
        "status": { "capacity": room, "allocatable": room },
    })
}

pub(super) fn deployment(name: &str, workload: &Workload) -> Value {
    let labels = json!({ "app": name, "app.kubernetes.io/part-of": workload.name, "tier": "web" });
    let mut spec = pod_spec();
    spec.insert("nodeSelector".to_owned(), json!({ POOL: workload.pool.0 }));
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": workload.replicas,
            "minReadySeconds": workload.available_after.as_secs(),
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": metadata(labels), "spec": spec },
        },
    })
}

/// A pod that nobody replaces. The scheduler is not asked.
pub(super) fn bare_pod(name: &str, node: &str) -> Value {
    let mut metadata = metadata(json!({ "app": name, BARE: "", "tier": "web" }));
    metadata.insert("name".to_owned(), json!(name));
    let mut spec = pod_spec();
    spec.insert("nodeName".to_owned(), json!(node));
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
}

/// A pod that no scheduler sees to.
pub(super) fn loose_pod(name: &str) -> Value {
    let mut pod = bare_pod(name, "");
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("nodeName");
        spec.insert("schedulerName".to_owned(), json!("nobody"));
    }
    pod
}

fn metadata(labels: Value) -> Map<String, Value> {
    let annotations = json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8080" });
    Map::from_iter([("labels".to_owned(), labels), ("annotations".to_owned(), annotations)])
}

/// Of an everyday size: what a tool keeps of the pods is part of what is measured.
fn pod_spec() -> Map<String, Value> {
    let container = |name: &str, port: u16| {
        json!({
            "name": name,
            "image": "bed.local/busybox:1",
            "ports": [{ "name": "http", "containerPort": port }],
            "env": [
                { "name": "LOG_LEVEL", "value": "info" },
                { "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                { "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            ],
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
            "readinessProbe": { "httpGet": { "path": "/ready", "port": "http" }, "periodSeconds": 5 },
            "livenessProbe": { "httpGet": { "path": "/alive", "port": "http" }, "initialDelaySeconds": 30 },
        })
    };
    let tolerations = json!([{ "key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule" }]);
    let containers = json!([container("web", 8080), container("metrics", 9090)]);
    Map::from_iter([("tolerations".to_owned(), tolerations), ("containers".to_owned(), containers)])
}

pub(super) fn budget(name: &str, max_unavailable: usize) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": { "name": name },
        "spec": { "maxUnavailable": max_unavailable, "selector": { "matchLabels": { "app": name } } },
    })
}

/// Whether the scheduler sends pods to a node: Ready, and none of the taints that a node has before it is.
pub(super) fn is_open(node: &Node) -> bool {
    let ready = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = ready.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    ready && !taints.any(|taint| taint.key.starts_with("node.kubernetes.io/"))
}

/// How many pods a Deployment wants.
pub(super) fn replicas(deployment: &Deployment) -> usize {
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
    usize::try_from(replicas).unwrap_or_default()
}

/// Whether a Deployment has all its pods, and no more.
pub(super) fn is_whole(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let status = deployment.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation) == deployment.metadata.generation;
    seen && status.and_then(|status| status.replicas) == wanted
        && status.and_then(|status| status.available_replicas) == wanted
}

/// Whether a budget counts all its pods healthy.
pub(super) fn has_room(budget: &PodDisruptionBudget) -> bool {
    let Some(status) = &budget.status else { return false };
    let seen = status.observed_generation == budget.metadata.generation;
    seen && status.expected_pods > 0
        && status.current_healthy == status.expected_pods
        && status.disrupted_pods.as_ref().is_none_or(|pods| pods.is_empty())
}
