//! Objects as `meta.k8s.io/v1 Table`, so that `kubectl get` shows what its user looks for.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    resource::{BUDGETS, DEPLOYMENTS, LEASES, NODES, PODS, Resource},
    store::{is_ready, is_terminating, meta},
    verbs::as_partial_metadata,
};

/// A column: its name, and whether only `-o wide` shows it.
type Column = (&'static str, bool);

/// A list, or a single object, as a table.
pub(super) fn as_table(resource: &'static Resource, value: &Value, now: Timestamp) -> Value {
    let objects: Vec<&Value> = value["items"].as_array().map_or_else(|| vec![value], |items| items.iter().collect());
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| json!({"cells": cells(resource, object, now), "object": as_partial_metadata(object)}))
        .collect();
    let columns: Vec<Value> = columns(resource).iter().map(definition).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"], "columnDefinitions": columns,
        "rows": rows,
    })
}

fn columns(resource: &Resource) -> &'static [Column] {
    match resource {
        it if it == NODES => &[
            ("Name", false),
            ("Status", false),
            ("Roles", false),
            ("Age", false),
            ("Version", false),
            ("Internal-IP", true),
            ("Boot-ID", true),
        ],
        it if it == PODS => {
            &[("Name", false), ("Ready", false), ("Status", false), ("Restarts", false), ("Age", false), ("Node", true)]
        }
        it if it == LEASES => &[("Name", false), ("Holder", false), ("Age", false)],
        it if it == BUDGETS => &[
            ("Name", false),
            ("Min Available", false),
            ("Max Unavailable", false),
            ("Allowed Disruptions", false),
            ("Age", false),
        ],
        it if it == DEPLOYMENTS => {
            &[("Name", false), ("Ready", false), ("Up-to-date", false), ("Available", false), ("Age", false)]
        }
        _ => &[("Name", false), ("Age", false)],
    }
}

fn definition((name, only_wide): &Column) -> Value {
    let format = if *name == "Name" { "name" } else { "" };
    json!({"name": name, "type": "string", "format": format, "description": "", "priority": i32::from(*only_wide)})
}

fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = meta(object, "name").into();
    let age = age(meta(object, "creationTimestamp"), now).into();
    let (spec, status) = (&object["spec"], &object["status"]);
    let or_none = |value: &Value| if value.is_null() { "N/A".into() } else { value.clone() };
    let count = |value: &Value| value.as_i64().unwrap_or(0);
    match resource {
        it if it == NODES => {
            let address = status["addresses"].as_array().into_iter().flatten().find(|it| it["type"] == "InternalIP");
            let (info, address) = (&status["nodeInfo"], address.map(|it| it["address"].clone()).unwrap_or_default());
            vec![
                name,
                node_status(object).into(),
                roles(object).into(),
                age,
                info["kubeletVersion"].clone(),
                address,
                info["bootID"].clone(),
            ]
        }
        it if it == PODS => {
            let ready = if is_ready(object) { "1/1" } else { "0/1" };
            let restarts = count(&status["containerStatuses"][0]["restartCount"]);
            let phase = if is_terminating(object) { "Terminating".into() } else { status["phase"].clone() };
            vec![name, ready.into(), phase, restarts.into(), age, spec["nodeName"].clone()]
        }
        it if it == LEASES => vec![name, spec["holderIdentity"].clone(), age],
        it if it == BUDGETS => {
            let allowed = status["disruptionsAllowed"].clone();
            vec![name, or_none(&spec["minAvailable"]), or_none(&spec["maxUnavailable"]), allowed, age]
        }
        it if it == DEPLOYMENTS => {
            let ready = format!("{}/{}", count(&status["readyReplicas"]), count(&spec["replicas"]));
            let (updated, available) = (count(&status["updatedReplicas"]), count(&status["availableReplicas"]));
            vec![name, ready.into(), updated.into(), available.into(), age]
        }
        _ => vec![name, age],
    }
}

fn node_status(node: &Value) -> String {
    let ready = node["status"]["conditions"].as_array().into_iter().flatten().find(|it| it["type"] == "Ready");
    let ready = match ready.and_then(|it| it["status"].as_str()) {
        Some("True") => "Ready",
        Some("False") => "NotReady",
        _ => "Unknown",
    };
    let cordoned = if node["spec"]["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
    format!("{ready}{cordoned}")
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let roles: Vec<_> = labels.filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/")).collect();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

/// As kubectl writes it, with one unit.
fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    let seconds = now.duration_since(since).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
