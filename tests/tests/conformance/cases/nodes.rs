//! The patches that cordon, taint and annotate.

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    Server,
    seen::{Seen, field, make},
};

async fn node(seen: &Seen, name: &str) -> Api<Node> {
    let nodes: Api<Node> = Api::all(seen.client.clone());
    let node: Node = make(json!({"metadata": {"name": name, "annotations": {"old": "1"}}}));
    nodes.create(&PostParams::default(), &node).await.unwrap();
    nodes
}

fn on(uid_of: &Node, patch: Value) -> Value {
    let mut patch = patch;
    patch["metadata"]["resourceVersion"] = uid_of.resource_version().unwrap().into();
    patch
}

pub(crate) async fn cordon(_: &impl Server, seen: &mut Seen) {
    let nodes = node(seen, "cordon").await;
    let patch = |value: Value| Patch::Strategic(value);
    let params = PatchParams::default();
    let cordon = patch(json!({"metadata": {"annotations": {"who": "me"}}, "spec": {"unschedulable": true}}));
    let cordoned = seen.call("cordon", nodes.patch("cordon", &params, &cordon).await).unwrap();
    seen.note("unschedulable", field(&cordoned, "/spec/unschedulable"));
    seen.note("annotations", field(&cordoned, "/metadata/annotations"));
    let again = seen.call("cordon again", nodes.patch("cordon", &params, &cordon).await).unwrap();
    seen.note("new version", again.resource_version() != cordoned.resource_version());
    let uncordon = patch(json!({"metadata": {"annotations": {"who": null}}, "spec": {"unschedulable": null}}));
    let uncordoned = seen.call("uncordon", nodes.patch("cordon", &params, &uncordon).await).unwrap();
    seen.note("unschedulable", field(&uncordoned, "/spec/unschedulable"));
    seen.note("annotations", field(&uncordoned, "/metadata/annotations"));
    seen.call("kube's cordon", nodes.cordon("cordon").await);
    let uncordoned = seen.call("kube's uncordon", nodes.uncordon("cordon").await).unwrap();
    seen.note("unschedulable", field(&uncordoned, "/spec/unschedulable"));
    seen.call("cordon nobody", nodes.cordon("nobody").await);
}

pub(crate) async fn taints_and_conditions(_: &impl Server, seen: &mut Seen) {
    let nodes = node(seen, "taints").await;
    let params = PatchParams::default();
    for key in ["example.com/a", "example.com/b"] {
        let taint = Patch::Strategic(json!({"spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}}));
        let tainted = seen.call("taint", nodes.patch("taints", &params, &taint).await).unwrap();
        let keys: Vec<_> = tainted.spec.unwrap().taints.unwrap().into_iter().map(|taint| taint.key).collect();
        seen.note("taints with our keys", keys.iter().filter(|key| key.starts_with("example.com/")).count());
    }
    let time = "2026-01-01T00:00:00Z";
    for (kind, status) in [("Ready", "True"), ("DiskPressure", "False"), ("Ready", "Unknown")] {
        let condition = json!({"type": kind, "status": status, "lastHeartbeatTime": time, "lastTransitionTime": time});
        let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
        let patched = seen.call("condition", nodes.patch_status("taints", &params, &patch).await).unwrap();
        let mut all: Vec<_> = patched.status.unwrap().conditions.unwrap();
        all.sort_by_key(|condition| condition.type_.clone());
        let all: Vec<_> = all.into_iter().map(|it| format!("{}={}", it.type_, it.status)).collect();
        seen.note("conditions", all.join(","));
    }
    let boot = Patch::Strategic(json!({"status": {"nodeInfo": {"bootID": "second"}}}));
    let main = seen.call("status through the node itself", nodes.patch("taints", &params, &boot).await).unwrap();
    seen.note("boot id", field(&main, "/status/nodeInfo/bootID"));
    let status = seen.call("status", nodes.patch_status("taints", &params, &boot).await).unwrap();
    seen.note("boot id", field(&status, "/status/nodeInfo/bootID"));
}

pub(crate) async fn merge_patch(_: &impl Server, seen: &mut Seen) {
    let nodes = node(seen, "merge").await;
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"new": "2", "old": null}, "labels": {"a": "b"}}}));
    let patched = seen.call("merge", nodes.patch("merge", &PatchParams::default(), &patch).await).unwrap();
    seen.note("annotations", field(&patched, "/metadata/annotations"));
    seen.note("label", field(&patched, "/metadata/labels/a"));
    let broken = Patch::Merge(json!({"metadata": {"name": "another"}}));
    seen.note("rename", nodes.patch("merge", &PatchParams::default(), &broken).await.is_err());
}

pub(crate) async fn json_patch(_: &impl Server, seen: &mut Seen) {
    let nodes = node(seen, "json").await;
    // kube sends a JSON patch only with an own feature; the merge patch's method takes any body.
    for (what, operations) in [
        (
            "test holds",
            json!([{"op": "test", "path": "/metadata/annotations/old", "value": "1"},
            {"op": "add", "path": "/metadata/annotations/new", "value": "2"}]),
        ),
        (
            "test fails",
            json!([{"op": "test", "path": "/metadata/annotations/old", "value": "9"},
            {"op": "add", "path": "/metadata/annotations/new", "value": "3"}]),
        ),
        ("remove what is not there", json!([{"op": "remove", "path": "/metadata/annotations/none"}])),
    ] {
        let request = http::Request::patch("/api/v1/nodes/json")
            .header("content-type", "application/json-patch+json")
            .body(serde_json::to_vec(&operations).unwrap())
            .unwrap();
        let result = seen.client.request::<Node>(request).await;
        let code = match result {
            Ok(_) => 200,
            Err(kube::Error::Api(status)) => status.code,
            Err(other) => panic!("no answer: {other}"),
        };
        seen.note(what, code);
    }
    seen.note("annotations", field(&nodes.get("json").await.unwrap(), "/metadata/annotations"));
}

pub(crate) async fn stale_patch(_: &impl Server, seen: &mut Seen) {
    let nodes = node(seen, "stale").await;
    let before = nodes.get("stale").await.unwrap();
    let params = PatchParams::default();
    let cordon = json!({"spec": {"unschedulable": true}});
    let current = Patch::Strategic(on(&before, cordon.clone()));
    seen.call("with the version now", nodes.patch("stale", &params, &current).await);
    seen.call("with the version before", nodes.patch("stale", &params, &current).await);
    let merge = Patch::Merge(on(&before, cordon));
    seen.call("the same as a merge patch", nodes.patch("stale", &params, &merge).await);
    let stranger = Patch::Merge(json!({"metadata": {"uid": "11111111-2222-4333-8444-555555555555"}}));
    seen.call("with another uid", nodes.patch("stale", &params, &stranger).await);
}

pub(crate) async fn who_wrote(_: &impl Server, seen: &mut Seen) {
    let nodes: Api<Node> = Api::all(seen.client.clone());
    let node: Node = make(json!({"metadata": {"name": "who-wrote", "annotations": {"a": "1", "b": "1"}}}));
    let by = |manager: &str| PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let maker = PostParams { field_manager: Some("maker".to_owned()), ..PostParams::default() };
    let mut now = nodes.create(&maker, &node).await.unwrap();
    for (manager, patch) in [
        ("admin", json!({"spec": {"unschedulable": true}, "metadata": {"annotations": {"b": "2"}}})),
        ("second", json!({"spec": {"unschedulable": true}})),
        ("second", json!({"spec": {"unschedulable": null}})),
        ("second", json!({"spec": {"unschedulable": true}})),
    ] {
        now = nodes.patch("who-wrote", &by(manager), &Patch::Strategic(patch)).await.unwrap();
        for path in ["/f:spec/f:unschedulable", "/f:metadata/f:annotations/f:a", "/f:metadata/f:annotations/f:b"] {
            let entries = now.metadata.managed_fields.iter().flatten();
            let owners = entries.filter(|entry| field(&entry.fields_v1, path).is_object());
            let owners: Vec<_> = owners.map(|entry| format!("{:?} {:?}", entry.manager, entry.operation)).collect();
            seen.note(path, owners.join(", "));
        }
    }
    let dated = now.metadata.managed_fields.iter().flatten().all(|entry| entry.time.is_some());
    seen.note("dated", dated);
}
