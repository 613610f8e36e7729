//! StatefulSets and DaemonSets: one pod for each ordinal or node, replaced one after another.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    replicas::{all, create_pod, end, pods_of, replicas, serving, short_hash},
    revisions::{self, is_of},
};
use crate::apiserver::{
    resource::{DAEMON_SETS, NODES, PODS, STATEFUL_SETS},
    store::{Key, Store, is_ready, is_terminating},
};

pub(super) fn pass(store: &mut Store) {
    for (key, set) in all(store, STATEFUL_SETS) {
        number(store, &key, &set);
    }
    for (key, set) in all(store, DAEMON_SETS) {
        spread(store, &key, &set);
    }
}

fn rolls(set: &Value) -> bool {
    set["spec"]["updateStrategy"]["type"] != "OnDelete"
}

/// Ordinals below the partition stay at, and come back with, the revision before.
fn number(store: &mut Store, key: &Key, set: &Value) {
    let update = revisions::record(store, key, set);
    let partition = set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64().unwrap_or_default();
    let partition = usize::try_from(partition).unwrap_or_default();
    let prefix = format!("{}-", key.name);
    let current = set["status"]["currentRevision"].as_str().and_then(|name| name.strip_prefix(&prefix));
    let current = current.unwrap_or(&update).to_owned();
    for ordinal in 0..replicas(set) {
        let name = format!("{prefix}{ordinal}");
        if store.get(&Key::new(PODS, &key.namespace, &name)).is_none() {
            let revision = if ordinal < partition { &current } else { &update };
            if let Some(template) = revisions::template(store, key, revision) {
                create_pod(store, key, set, &template, &name, None);
            }
        }
    }
    let pods = pods_of(store, &key.namespace, set);
    if rolls(set) {
        // From the highest ordinal down: the next one goes once those above are back.
        for ordinal in (partition..replicas(set)).rev() {
            let pod = Key::new(PODS, &key.namespace, &format!("{prefix}{ordinal}"));
            let Some(found) = store.get(&pod) else { break };
            if !is_of(&found, &update) && !is_terminating(&found) {
                end(store, &pod);
            }
            if !is_of(&found, &update) || !is_ready(&found) {
                break;
            }
        }
    }
    let updated = pods.iter().filter(|(_, pod)| is_of(pod, &update)).count();
    let (have, ready) = (pods.len(), serving(&pods));
    let is_complete = updated == have && ready == replicas(set);
    let current = if is_complete { &update } else { &current };
    store.edit(key, |set| {
        let status = &mut set["status"];
        status["replicas"] = have.into();
        status["readyReplicas"] = ready.into();
        status["availableReplicas"] = ready.into();
        status["updatedReplicas"] = updated.into();
        status["currentRevision"] = format!("{prefix}{current}").into();
        status["updateRevision"] = format!("{prefix}{update}").into();
        set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
    });
}

/// At most one node is without its pod because of an update.
fn spread(store: &mut Store, key: &Key, set: &Value) {
    let update = revisions::record(store, key, set);
    let pods = pods_of(store, &key.namespace, set);
    let have: BTreeSet<&str> = pods.iter().filter_map(|(_, pod)| pod["spec"]["nodeName"].as_str()).collect();
    let nodes: Vec<String> = store.list(NODES, None).map(|(key, _)| key.name.clone()).collect();
    let template = revisions::template(store, key, &update);
    for node in nodes.iter().filter(|node| !have.contains(node.as_str())) {
        let suffix = short_hash(&store.new_uid());
        if let Some(template) = &template {
            create_pod(store, key, set, template, &format!("{}-{suffix}", key.name), Some(node));
        }
    }
    let going = pods.iter().filter(|(_, pod)| is_terminating(pod)).count();
    let ready = serving(&pods);
    let away = nodes.len().saturating_sub(ready);
    if rolls(set) && going == 0 {
        let old: Vec<_> = pods.iter().filter(|(_, pod)| !is_of(pod, &update)).collect();
        let next = old.iter().find(|(_, pod)| !is_ready(pod)).or(old.first().filter(|_| away == 0));
        if let Some((pod, _)) = next {
            end(store, pod);
        }
    }
    let updated = pods.iter().filter(|(_, pod)| is_of(pod, &update) && !is_terminating(pod)).count();
    store.edit(key, |set| {
        let status = &mut set["status"];
        status["desiredNumberScheduled"] = nodes.len().into();
        status["currentNumberScheduled"] = pods.len().into();
        status["updatedNumberScheduled"] = updated.into();
        status["numberMisscheduled"] = 0.into();
        status["numberReady"] = ready.into();
        status["numberAvailable"] = ready.into();
        set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
    });
}
