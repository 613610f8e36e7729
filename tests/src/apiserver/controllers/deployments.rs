//! Deployments. A rollout starts all of its new pods before it takes the old ones away.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Due, earlier,
    replicas::{all, short_hash},
};
use crate::apiserver::{
    clock::seconds,
    managed::Writer,
    resource::{DEPLOYMENTS, REPLICA_SETS},
    store::{Key, Store, controller, copied, owner_reference},
    verbs,
};

/// Which rollout of a Deployment it, or one of its sets, is of.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Seconds without progress after which a rollout has failed, unless the Deployment says otherwise.
const DEADLINE: i64 = 600;

pub(super) fn pass(store: &mut Store, now: Timestamp) -> Due {
    let mut due = None;
    for (key, deployment) in all(store, DEPLOYMENTS) {
        due = earlier(due, deploy(store, &key, &deployment, now));
    }
    due
}

/// One ReplicaSet for the Deployment's template, none of the earlier ones, and its counts in the status.
fn deploy(store: &mut Store, key: &Key, deployment: &Value, now: Timestamp) -> Due {
    let hash = short_hash(&deployment["spec"]["template"].to_string());
    let set_key = Key::new(REPLICA_SETS, &key.namespace, &format!("{}-{hash}", key.name));
    let earlier = earlier_sets(store, key, deployment, &set_key);
    let newest = earlier.iter().map(|(_, set)| revision(set)).max().unwrap_or_default();
    if deployment["spec"]["paused"] == true {
        let set = store.get(&set_key);
        return report(store, key, set.as_deref(), &earlier, now);
    }
    let Some(set) = store.get(&set_key) else {
        create_set(store, key, deployment, &set_key, &hash, newest + 1);
        return None;
    };
    if revision(&set) <= newest {
        mark(store, key, &set_key, newest + 1);
    }
    let wanted = deployment["spec"]["replicas"].clone();
    if set["status"]["readyReplicas"].as_u64() >= wanted.as_u64() {
        for (earlier, _) in &earlier {
            store.edit(earlier, |set| set["spec"]["replicas"] = 0.into());
        }
    }
    let set = store.edit(&set_key, |set| set["spec"]["replicas"] = wanted);
    report(store, key, set.as_deref(), &earlier, now)
}

fn create_set(store: &mut Store, key: &Key, deployment: &Value, set_key: &Key, hash: &str, revision: i64) {
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = hash.into();
    let set = json!({
        "metadata": {
            "name": set_key.name, "labels": template["metadata"]["labels"],
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": deployment["spec"]["replicas"], "template": template,
            "selector": {"matchLabels": template["metadata"]["labels"]},
        },
    });
    // A namespace that is going forbids it; the real controller goes on trying as well.
    let _ = verbs::create(store, REPLICA_SETS, &key.namespace, set, Writer::CONTROLLERS);
    mark(store, key, set_key, revision);
}

fn mark(store: &mut Store, deployment: &Key, set: &Key, revision: i64) {
    for key in [deployment, set] {
        store.edit(key, |object| object["metadata"]["annotations"][REVISION] = revision.to_string().into());
    }
}

fn revision(set: &Value) -> i64 {
    set["metadata"]["annotations"][REVISION].as_str().and_then(|it| it.parse().ok()).unwrap_or_default()
}

/// The Deployment's sets of other templates.
fn earlier_sets(store: &Store, key: &Key, deployment: &Value, current: &Key) -> Vec<(Key, Arc<Value>)> {
    let sets = store.list(REPLICA_SETS, Some(&key.namespace));
    let owned =
        sets.filter(|(_, set)| controller(set).is_some_and(|owner| owner["uid"] == deployment["metadata"]["uid"]));
    copied(owned.filter(|(key, _)| *key != current))
}

/// Counts the pods of all sets, and tells whether there is progress.
fn report(store: &mut Store, key: &Key, set: Option<&Value>, earlier: &[(Key, Arc<Value>)], now: Timestamp) -> Due {
    let count = |set: &Value, field: &str| set["status"][field].as_i64().unwrap_or_default();
    let sets: Vec<&Value> = earlier.iter().map(|(_, set)| &**set).chain(set).collect();
    let total = |field: &str| sets.iter().map(|set| count(set, field)).sum::<i64>();
    let counts = ["replicas", "readyReplicas", "availableReplicas"].map(|field| (field, total(field)));
    let updated = set.map(|set| count(set, "replicas")).unwrap_or_default();
    let mut due = None;
    store.edit(key, |deployment| {
        let before = deployment["status"].clone();
        for (field, count) in counts {
            deployment["status"][field] = count.into();
        }
        deployment["status"]["updatedReplicas"] = updated.into();
        deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"].clone();
        let [pods, _, available] = counts.map(|(_, count)| count);
        let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
        let is_complete = updated >= wanted && pods <= updated && available >= updated;
        due = progress(deployment, &before, is_complete, now);
    });
    due
}

/// Writes the condition `Progressing`; gives the moment at which the deadline passes.
fn progress(deployment: &mut Value, before: &Value, is_complete: bool, now: Timestamp) -> Due {
    let moved = ["updatedReplicas", "availableReplicas", "replicas", "observedGeneration"]
        .iter()
        .any(|field| before[field] != deployment["status"][field]);
    let since = before["conditions"][0]["lastUpdateTime"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let since = since.filter(|_| !moved).unwrap_or(now);
    let limit = deployment["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(DEADLINE);
    let end = since + SignedDuration::from_secs(limit);
    let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
    let (status, reason, message) = if is_complete {
        ("True", "NewReplicaSetAvailable", format!("ReplicaSet of \"{name}\" has successfully progressed."))
    } else if now >= end {
        ("False", "ProgressDeadlineExceeded", format!("ReplicaSet of \"{name}\" has timed out progressing."))
    } else {
        ("True", "ReplicaSetUpdated", format!("ReplicaSet of \"{name}\" is progressing."))
    };
    deployment["status"]["conditions"] = json!([{
        "type": "Progressing", "status": status, "reason": reason, "message": message, "lastUpdateTime": seconds(since),
    }]);
    (!is_complete && now < end).then_some(end)
}
