//! Binding of pods to nodes: of the schedulable (or tolerated), ready nodes with room that no hard rule forbids, the one with the fewest pods.
//!
//! Room is counted in pods and in requested CPU and memory. The hard rules are node selectors, taints, and required anti-affinity
//! between pods that are selected by `matchLabels` in their own namespace. Everything else that a scheduler knows is left out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::apiserver::{
    clock::seconds,
    eviction::is_ready,
    resource::{NODES, PODS},
    selector::label_selector_matches,
    store::{Key, Store, is_terminating, meta},
};

/// How many pods a node takes that does not say.
const DEFAULT_PODS: u64 = 110;

pub(super) fn pass(store: &mut Store) {
    let waiting: Vec<Key> = store
        .list(PODS, None)
        .filter(|(_, pod)| node_of(pod).is_empty() && !is_terminating(pod))
        .map(|(key, _)| key.clone())
        .collect();
    if waiting.is_empty() {
        return;
    }
    let mut taken = taken_by_node(store);
    for key in waiting {
        let Some(pod) = store.get(&key) else { continue };
        let now = seconds(store.now());
        match choose(store, &taken, &pod) {
            Some(node) => {
                store.edit(&key, |pod| {
                    pod["spec"]["nodeName"] = node.as_str().into();
                    let bound = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now});
                    pod["status"]["conditions"] = json!([bound]);
                });
                taken.entry(node).or_default().add(&pod);
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

/// What pods take of a node, or what it has.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    pods: u64,
    /// In millicores.
    cpu: u64,
    /// In bytes.
    memory: u64,
}

impl Amount {
    fn add(&mut self, pod: &Value) {
        self.pods += 1;
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let requests = &container["resources"]["requests"];
            self.cpu += quantity(&requests["cpu"]).unwrap_or(0);
            self.memory += quantity(&requests["memory"]).map_or(0, |thousandths| thousandths / 1000);
        }
    }
}

fn taken_by_node(store: &Store) -> BTreeMap<String, Amount> {
    let mut taken: BTreeMap<String, Amount> = BTreeMap::new();
    for (_, pod) in store.list(PODS, None) {
        taken.entry(node_of(pod).to_owned()).or_default().add(pod);
    }
    taken
}

fn choose(store: &Store, taken: &BTreeMap<String, Amount>, pod: &Value) -> Option<String> {
    let mut best: Option<(u64, &str)> = None;
    for (key, node) in store.list(NODES, None) {
        let taken = taken.get(&key.name).copied().unwrap_or_default();
        let is_better = best.is_none_or(|(fewest, _)| taken.pods < fewest);
        if is_better && has_room(node, taken, pod) && fits(node, pod) && keeps_apart(store, &key.name, pod) {
            best = Some((taken.pods, &key.name));
        }
    }
    best.map(|(_, name)| name.to_owned())
}

fn has_room(node: &Value, mut taken: Amount, pod: &Value) -> bool {
    taken.add(pod);
    let allocatable = &node["status"]["allocatable"];
    let pods = quantity(&allocatable["pods"]).map_or(DEFAULT_PODS, |thousandths| thousandths / 1000);
    taken.pods <= pods
        && quantity(&allocatable["cpu"]).is_none_or(|cpu| taken.cpu <= cpu)
        && quantity(&allocatable["memory"]).is_none_or(|memory| taken.memory <= memory / 1000)
}

/// A quantity in thousandths, as far as tests write them.
fn quantity(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    let digits = text.trim_end_matches(char::is_alphabetic);
    let factor = match &text[digits.len()..] {
        "m" => 1,
        "" => 1000,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        other => panic!("the scheduler of this double does not know the unit {other:?}"),
    };
    Some(digits.parse::<u64>().ok()? * factor)
}

/// Required anti-affinity, of this pod and of those that are there.
fn keeps_apart(store: &Store, node: &str, pod: &Value) -> bool {
    let domain = |name: &str, topology: &str| {
        let node = store.get(&Key::new(NODES, "", name))?;
        node["metadata"]["labels"][topology].as_str().map(str::to_owned)
    };
    store.list(PODS, Some(meta(pod, "namespace"))).all(|(_, other)| {
        let collide = |one: &Value, other_pod: &Value, other_node: &str| {
            apart(one).iter().any(|term| {
                let topology = term["topologyKey"].as_str().unwrap_or_default();
                label_selector_matches(&term["labelSelector"], &other_pod["metadata"]["labels"])
                    && domain(node, topology).is_some_and(|here| domain(other_node, topology) == Some(here))
            })
        };
        let there = node_of(other);
        there.is_empty() || !(collide(pod, other, there) || collide(other, pod, there))
    })
}

fn apart(pod: &Value) -> &[Value] {
    let terms = &pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    terms.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn fits(node: &Value, pod: &Value) -> bool {
    let selected = pod["spec"]["nodeSelector"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| &node["metadata"]["labels"][key] == value));
    let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tolerated = |taint: &Value| taint["effect"] == "PreferNoSchedule" || tolerates(pod, taint);
    // As the plugin NodeUnschedulable has it: a pod that tolerates the taint of a cordon does not mind the cordon.
    let cordon = json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    (node["spec"]["unschedulable"] != true || tolerates(pod, &cordon))
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
