//! Deployments, ReplicaSets, StatefulSets and DaemonSets: as many pods as wanted. A rollout of a Deployment starts all of its
//! new pods before it takes the old ones away; the others have none.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::apiserver::{
    eviction::is_ready,
    managed::Writer,
    resource::{DAEMON_SETS, DEPLOYMENTS, NODES, PODS, REPLICA_SETS, Resource, STATEFUL_SETS},
    store::{Key, Store, controller, is_terminating, owner_reference},
    verbs,
};

pub(super) fn pass(store: &mut Store) {
    for (key, deployment) in all(store, DEPLOYMENTS) {
        deploy(store, &key, &deployment);
    }
    for (key, set) in all(store, REPLICA_SETS) {
        replicate(store, &key, &set);
    }
    for (key, set) in all(store, STATEFUL_SETS) {
        number(store, &key, &set);
    }
    for (key, set) in all(store, DAEMON_SETS) {
        spread(store, &key, &set);
    }
}

fn all(store: &Store, resource: &'static Resource) -> Vec<(Key, Arc<Value>)> {
    store
        .list(resource, None)
        .filter(|(_, object)| !is_terminating(object))
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect()
}

fn replicas(object: &Value) -> usize {
    object["spec"]["replicas"].as_u64().and_then(|it| usize::try_from(it).ok()).unwrap_or(1)
}

/// Which rollout of a Deployment it, or one of its sets, is of.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// One ReplicaSet for the Deployment's template, none of the earlier ones, and its counts in the status.
fn deploy(store: &mut Store, key: &Key, deployment: &Value) {
    let hash = short_hash(&deployment["spec"]["template"].to_string());
    let set_key = Key::new(REPLICA_SETS, &key.namespace, &format!("{}-{hash}", key.name));
    let earlier = earlier_sets(store, key, deployment, &set_key);
    let Some(set) = store.get(&set_key) else {
        let revision = (earlier.len() + 1).to_string();
        let mut template = deployment["spec"]["template"].clone();
        template["metadata"]["labels"]["pod-template-hash"] = hash.as_str().into();
        let set = json!({
            "metadata": {
                "name": set_key.name, "labels": template["metadata"]["labels"],
                "annotations": {REVISION: revision}, "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {
                "replicas": deployment["spec"]["replicas"], "template": template,
                "selector": {"matchLabels": template["metadata"]["labels"]},
            },
        });
        // A namespace that is going forbids it; the real controller goes on trying as well.
        let _ = verbs::create(store, REPLICA_SETS, &key.namespace, set, Writer::CONTROLLERS);
        store.edit(key, |deployment| deployment["metadata"]["annotations"][REVISION] = revision.into());
        return;
    };
    let wanted = deployment["spec"]["replicas"].clone();
    if set["status"]["readyReplicas"].as_u64() >= wanted.as_u64() {
        for earlier in earlier {
            store.edit(&earlier, |set| set["spec"]["replicas"] = 0.into());
        }
    }
    let set = store.edit(&set_key, |set| set["spec"]["replicas"] = wanted);
    let status = set.map_or(Value::Null, |set| set["status"].clone());
    store.edit(key, |deployment| {
        for field in ["replicas", "readyReplicas", "availableReplicas"] {
            deployment["status"][field] = status[field].clone();
        }
        deployment["status"]["updatedReplicas"] = status["replicas"].clone();
        deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"].clone();
    });
}

/// The Deployment's sets of other templates.
fn earlier_sets(store: &Store, key: &Key, deployment: &Value, current: &Key) -> Vec<Key> {
    let sets = store.list(REPLICA_SETS, Some(&key.namespace));
    let owned =
        sets.filter(|(_, set)| controller(set).is_some_and(|owner| owner["uid"] == deployment["metadata"]["uid"]));
    owned.map(|(key, _)| key.clone()).filter(|key| key != current).collect()
}

/// The pods of a set that are not over yet.
fn pods_of(store: &Store, namespace: &str, set: &Value) -> Vec<(Key, Arc<Value>)> {
    store
        .list(PODS, Some(namespace))
        .filter(|(_, pod)| controller(pod).is_some_and(|owner| owner["uid"] == set["metadata"]["uid"]))
        .filter(|(_, pod)| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")))
        .map(|(key, pod)| (key.clone(), Arc::clone(pod)))
        .collect()
}

fn replicate(store: &mut Store, key: &Key, set: &Value) {
    let mut pods = pods_of(store, &key.namespace, set);
    pods.retain(|(_, pod)| !is_terminating(pod));
    let (wanted, have) = (replicas(set), pods.len());
    for _ in have..wanted {
        let suffix = short_hash(&store.new_uid());
        create_pod(store, key, set, &format!("{}-{suffix}", key.name), None);
    }
    for (pod, _) in pods.iter().rev().take(have.saturating_sub(wanted)) {
        let _ = verbs::delete(store, pod, &verbs::DeleteOptions::default());
    }
    count(store, key, &pods);
}

fn number(store: &mut Store, key: &Key, set: &Value) {
    let pods = pods_of(store, &key.namespace, set);
    for ordinal in 0..replicas(set) {
        let name = format!("{}-{ordinal}", key.name);
        if store.get(&Key::new(PODS, &key.namespace, &name)).is_none() {
            create_pod(store, key, set, &name, None);
        }
    }
    count(store, key, &pods);
}

fn spread(store: &mut Store, key: &Key, set: &Value) {
    let pods = pods_of(store, &key.namespace, set);
    let have: BTreeSet<&str> = pods.iter().filter_map(|(_, pod)| pod["spec"]["nodeName"].as_str()).collect();
    let nodes: Vec<String> = store.list(NODES, None).map(|(key, _)| key.name.clone()).collect();
    for node in nodes.iter().filter(|node| !have.contains(node.as_str())) {
        let suffix = short_hash(&store.new_uid());
        create_pod(store, key, set, &format!("{}-{suffix}", key.name), Some(node));
    }
}

fn count(store: &mut Store, key: &Key, pods: &[(Key, Arc<Value>)]) {
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let have = pods.len();
    store.edit(key, |set| {
        set["status"]["replicas"] = have.into();
        set["status"]["readyReplicas"] = ready.into();
        set["status"]["availableReplicas"] = ready.into();
        set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
    });
}

fn create_pod(store: &mut Store, key: &Key, set: &Value, name: &str, node: Option<&str>) {
    let template = &set["spec"]["template"];
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
fn short_hash(text: &str) -> String {
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
