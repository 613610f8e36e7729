//! Pods that run and pods that go.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    Server,
    seen::{Seen, field, make},
};

/// A pod that is bound to nothing.
pub(crate) fn plain(name: &str) -> Pod {
    make(json!({
        "metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]},
    }))
}

/// Makes a pod that runs and is ready.
pub(crate) async fn running(pods: &Api<Pod>, name: &str, node: &str, labels: Value) {
    with_phase(pods, name, node, labels, "Running", true).await;
}

/// Makes a pod in a phase.
pub(crate) async fn with_phase(pods: &Api<Pod>, name: &str, node: &str, labels: Value, phase: &str, ready: bool) {
    let pod: Pod = make(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "registry.example/main:1"}]},
    }));
    pods.create(&PostParams::default(), &pod).await.expect("a pod");
    let ready = if ready { "True" } else { "False" };
    let status = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
    pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await.expect("a pod's status");
}

pub(crate) async fn graceful_deletion(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    for (name, grace) in [("own", None), ("shorter", Some(5)), ("longer", Some(60)), ("none", Some(0))] {
        running(&pods, name, "w1", json!({})).await;
        let params = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
        let answer = seen.call(name, pods.delete(name, &params).await).unwrap();
        seen.note("answer is a Status", answer.is_right());
        if let Some(left) = seen.call("get", pods.get(name).await) {
            seen.note("grace", field(&left, "/metadata/deletionGracePeriodSeconds"));
            seen.note("going", left.metadata.deletion_timestamp.is_some());
            seen.note("phase", field(&left, "/status/phase"));
        }
    }
    with_phase(&pods, "done", "w1", json!({}), "Succeeded", false).await;
    seen.call("one that has ended", pods.delete("done", &DeleteParams::default()).await);
    seen.call("get", pods.get("done").await);
}

pub(crate) async fn shortened_grace(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    running(&pods, "p", "w1", json!({})).await;
    let mut first = None;
    for grace in [Some(20), Some(25), None, Some(3)] {
        let params = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
        seen.call(&format!("delete with {grace:?}"), pods.delete("p", &params).await);
        let left = pods.get("p").await.unwrap();
        seen.note("grace", field(&left, "/metadata/deletionGracePeriodSeconds"));
        let grace = left.metadata.deletion_grace_period_seconds.unwrap();
        let asked = left.metadata.deletion_timestamp.unwrap().0.as_second() - grace;
        seen.note("counted from", asked - *first.get_or_insert(asked));
    }
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    seen.call("delete at once", pods.delete("p", &now).await);
    seen.call("get", pods.get("p").await);
}
