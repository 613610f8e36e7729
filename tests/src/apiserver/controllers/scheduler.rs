//! Binding of pods to nodes: of the schedulable (or tolerated), ready nodes with room that no hard rule forbids, the one with the fewest pods.
//!
//! Room is counted in pods and in requested CPU and memory. The hard rules are node selectors, taints, and required anti-affinity
//! between pods that are selected by `matchLabels` in their own namespace. Everything else that a scheduler knows is left out.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::apiserver::{
    clock::seconds,
    resource::{NODES, PODS},
    selector::label_selector_matches,
    store::{Key, Store, is_ready, is_terminating, meta},
};

/// How many pods a node takes that does not say.
const DEFAULT_PODS: u64 = 110;

pub(super) fn pass(store: &mut Store) {
    let waiting = store.pods_on("").filter(|(_, pod)| !is_terminating(pod));
    let waiting: Vec<Key> = waiting.map(|(key, _)| key.clone()).collect();
    if waiting.is_empty() {
        return;
    }
    let mut places = Places::of(store);
    for key in waiting {
        let Some(pod) = store.get(&key) else { continue };
        let now = seconds(store.now());
        match places.choose(store, &pod) {
            Some(node) => {
                store.edit(&key, |pod| {
                    pod["spec"]["nodeName"] = node.as_str().into();
                    let bound = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now});
                    pod["status"]["conditions"] = json!([bound]);
                });
                places.bind(node, &pod);
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

/// The nodes in the order in which a pod tries them, kept right while pods are bound in one pass.
struct Places {
    /// How many pods each has, and its name: the emptiest first.
    by_load: BTreeSet<(usize, String)>,
    /// What the pods take of those that were looked at.
    taken: HashMap<String, Amount>,
    /// The pods of a namespace that want to be apart from others.
    loners: HashMap<String, Vec<Key>>,
}

impl Places {
    fn of(store: &Store) -> Self {
        let nodes = store.list(NODES, None).map(|(key, _)| (store.count_pods_on(&key.name), key.name.clone()));
        Self { by_load: nodes.collect(), taken: HashMap::new(), loners: HashMap::new() }
    }

    fn choose(&mut self, store: &Store, pod: &Value) -> Option<String> {
        let Self { by_load, taken, loners } = self;
        let namespace = meta(pod, "namespace");
        let loners = loners.entry(namespace.to_owned()).or_insert_with(|| {
            let all = store.list(PODS, Some(namespace)).filter(|(_, pod)| !apart(pod).is_empty());
            all.map(|(key, _)| key.clone()).collect()
        });
        let found = by_load.iter().find(|(_, name)| {
            let Some(node) = store.get(&Key::new(NODES, "", name)) else { return false };
            let taken = *taken.entry(name.clone()).or_insert_with(|| taken_of(store, name));
            has_room(&node, taken, pod) && fits(&node, pod) && keeps_apart(store, loners, name, pod)
        });
        found.map(|(_, name)| name.clone())
    }

    fn bind(&mut self, node: String, pod: &Value) {
        let amount = self.taken.entry(node.clone()).or_default();
        let before = usize::try_from(amount.pods).unwrap_or(usize::MAX);
        amount.add(pod);
        self.by_load.remove(&(before, node.clone()));
        self.by_load.insert((before.saturating_add(1), node));
    }
}

fn taken_of(store: &Store, node: &str) -> Amount {
    let mut taken = Amount::default();
    store.pods_on(node).for_each(|(_, pod)| taken.add(pod));
    taken
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

/// Required anti-affinity, of this pod and of those that are there. `loners` are the pods of its namespace that have any.
fn keeps_apart(store: &Store, loners: &[Key], node: &str, pod: &Value) -> bool {
    let domain = |name: &str, topology: &str| {
        let node = store.get(&Key::new(NODES, "", name))?;
        node["metadata"]["labels"][topology].as_str().map(str::to_owned)
    };
    let collide = |one: &Value, other_pod: &Value, other_node: &str| {
        apart(one).iter().any(|term| {
            let topology = term["topologyKey"].as_str().unwrap_or_default();
            label_selector_matches(&term["labelSelector"], &other_pod["metadata"]["labels"])
                && domain(node, topology).is_some_and(|here| domain(other_node, topology) == Some(here))
        })
    };
    let is_there = |other: &Value| !node_of(other).is_empty();
    let is_far_from = |other: &Value| !is_there(other) || !collide(pod, other, node_of(other));
    let far_from_all = || store.list(PODS, Some(meta(pod, "namespace"))).all(|(_, other)| is_far_from(other));
    let mut loners = loners.iter().filter_map(|key| store.get(key));
    let left_alone = loners.all(|other| !is_there(&other) || !collide(&other, pod, node_of(&other)));
    left_alone && (apart(pod).is_empty() || far_from_all())
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
