//! Binding of pods to nodes: the schedulable, ready node with the fewest pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::apiserver::{
    clock::seconds,
    eviction::is_ready,
    resource::{NODES, PODS},
    store::{Key, Store, is_terminating, meta},
};

/// How many pods a node takes that does not say.
const DEFAULT_PODS: usize = 110;

pub(super) fn pass(store: &mut Store) {
    let waiting: Vec<Key> = store
        .list(PODS, None)
        .filter(|(_, pod)| node_of(pod).is_empty() && !is_terminating(pod))
        .map(|(key, _)| key.clone())
        .collect();
    if waiting.is_empty() {
        return;
    }
    let mut counts = pods_by_node(store);
    for key in waiting {
        let Some(pod) = store.get(&key) else { continue };
        let now = seconds(store.now());
        match choose(store, &counts, &pod) {
            Some(node) => {
                store.edit(&key, |pod| {
                    pod["spec"]["nodeName"] = node.as_str().into();
                    let bound = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now});
                    pod["status"]["conditions"] = json!([bound]);
                });
                *counts.entry(node).or_default() += 1;
            }
            None if pod["status"]["conditions"].is_null() => drop(store.edit(&key, |pod| {
                pod["status"]["conditions"] = json!([{
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": now,
                    "message": "no node is schedulable and has room",
                }]);
            })),
            None => {}
        }
    }
}

fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

fn pods_by_node(store: &Store) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, pod) in store.list(PODS, None) {
        *counts.entry(node_of(pod).to_owned()).or_default() += 1;
    }
    counts
}

fn choose(store: &Store, counts: &BTreeMap<String, usize>, pod: &Value) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for (key, node) in store.list(NODES, None) {
        let pods = counts.get(&key.name).copied().unwrap_or_default();
        if pods < room(node) && best.is_none_or(|(fewest, _)| pods < fewest) && fits(node, pod) {
            best = Some((pods, &key.name));
        }
    }
    best.map(|(_, name)| name.to_owned())
}

fn room(node: &Value) -> usize {
    node["status"]["allocatable"]["pods"].as_str().and_then(|pods| pods.parse().ok()).unwrap_or(DEFAULT_PODS)
}

fn fits(node: &Value, pod: &Value) -> bool {
    let selected = pod["spec"]["nodeSelector"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| &node["metadata"]["labels"][key] == value));
    let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tolerated = |taint: &Value| taint["effect"] == "PreferNoSchedule" || tolerates(pod, taint);
    node["spec"]["unschedulable"] != true
        && meta(node, "deletionTimestamp").is_empty()
        && is_ready(node)
        && selected
        && taints.iter().all(tolerated)
}

fn tolerates(pod: &Value, taint: &Value) -> bool {
    pod["spec"]["tolerations"].as_array().into_iter().flatten().any(|it| {
        let effect = it["effect"].is_null() || it["effect"] == taint["effect"];
        let key = it["key"].is_null() || it["key"] == taint["key"];
        let value = it["operator"] == "Exists" || it["value"] == taint["value"];
        effect && key && value
    })
}
