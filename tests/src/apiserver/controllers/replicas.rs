//! As many pods as wanted: what the controllers of all workloads do alike, and the one of ReplicaSets.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::apiserver::{
    managed::Writer,
    resource::{PODS, REPLICA_SETS, Resource},
    store::{Key, Store, copied, is_ready, is_terminating, meta, owner_reference},
    verbs,
};

/// Looks at the namespaces in which something has changed since a version.
pub(super) fn pass(store: &mut Store, since: Option<u64>) {
    let changed = store.changed_since(since, &[PODS, REPLICA_SETS]);
    let sets = copied(changed.list(store, REPLICA_SETS).filter(|(_, set)| !is_terminating(set)));
    for (key, set) in sets {
        replicate(store, &key, &set);
    }
}

/// All objects of a kind that are not on their way out.
pub(super) fn all(store: &Store, resource: &'static Resource) -> Vec<(Key, Arc<Value>)> {
    copied(store.list(resource, None).filter(|(_, object)| !is_terminating(object)))
}

pub(super) fn replicas(object: &Value) -> usize {
    object["spec"]["replicas"].as_u64().and_then(|it| usize::try_from(it).ok()).unwrap_or(1)
}

/// The pods of a set that are not over yet.
pub(super) fn pods_of(store: &Store, namespace: &str, set: &Value) -> Vec<(Key, Arc<Value>)> {
    let is_over = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    copied(store.pods_owned_by(namespace, meta(set, "uid")).filter(|(_, pod)| !is_over(pod)))
}

/// How many of the pods serve.
pub(super) fn serving(pods: &[(Key, Arc<Value>)]) -> usize {
    pods.iter().filter(|(_, pod)| is_ready(pod)).count()
}

/// Asks for the end of a pod, as a controller does: with its own grace, and past all budgets.
pub(super) fn end(store: &mut Store, pod: &Key) {
    // It may be gone already.
    let _ = verbs::delete(store, pod, &verbs::DeleteOptions::default());
}

fn replicate(store: &mut Store, key: &Key, set: &Value) {
    let mut pods = pods_of(store, &key.namespace, set);
    pods.retain(|(_, pod)| !is_terminating(pod));
    let (wanted, have) = (replicas(set), pods.len());
    for _ in have..wanted {
        let suffix = short_hash(&store.new_uid());
        create_pod(store, key, set, &set["spec"]["template"], &format!("{}-{suffix}", key.name), None);
    }
    for (pod, _) in pods.iter().rev().take(have.saturating_sub(wanted)) {
        end(store, pod);
    }
    let ready = serving(&pods);
    store.edit(key, |set| {
        set["status"]["replicas"] = have.into();
        set["status"]["readyReplicas"] = ready.into();
        set["status"]["availableReplicas"] = ready.into();
        set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
    });
}

pub(super) fn create_pod(store: &mut Store, key: &Key, set: &Value, template: &Value, name: &str, node: Option<&str>) {
    let mut pod = json!({
        "metadata": {
            "name": name, "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"],
            "ownerReferences": [owner_reference(set)],
        },
        "spec": template["spec"],
    });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = node.into();
    }
    // A namespace that is going forbids it; the real controllers go on trying as well.
    let _ = verbs::create(store, PODS, &key.namespace, pod, Writer::CONTROLLERS);
}

/// Five letters for a name, the same for the same text.
pub(super) fn short_hash(text: &str) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mut rest = hasher.finish();
    let mut name = String::new();
    for _ in 0..5 {
        let index = usize::try_from(rest % 27).unwrap_or_default();
        name.push(char::from(LETTERS[index]));
        rest /= 27;
    }
    name
}
