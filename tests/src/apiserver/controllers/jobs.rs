//! Jobs: as many pods at a time as wanted, another one for each that goes before it has ended. CronJobs start nothing here: a test
//! does that.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::apiserver::{
    clock::seconds,
    managed::Writer,
    resource::{JOBS, PODS},
    store::{Key, Store, copied, is_ready, is_terminating, meta, owner_reference},
    verbs,
};

pub(super) fn pass(store: &mut Store, now: Timestamp) {
    for (key, job) in copied(store.list(JOBS, None).filter(|(_, job)| !is_over(job))) {
        work_off(store, &key, &job, now);
    }
}

fn work_off(store: &mut Store, key: &Key, job: &Value, now: Timestamp) {
    let pods = store.pods_owned_by(&key.namespace, meta(job, "uid"));
    let pods: Vec<Arc<Value>> = pods.map(|(_, pod)| Arc::clone(pod)).collect();
    let in_phase = |phase: &str| pods.iter().filter(|pod| pod["status"]["phase"] == phase).count();
    let is_active = |pod: &&Arc<Value>| {
        !is_terminating(pod) && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    };
    let active: Vec<_> = pods.iter().filter(is_active).collect();
    let count = |field: &str| job["spec"][field].as_u64().and_then(|it| usize::try_from(it).ok()).unwrap_or(1);
    let (succeeded, wanted) = (in_phase("Succeeded"), count("completions"));
    let idle = is_terminating(job) || job["spec"]["suspend"] == true;
    if !idle {
        // A pod that is on its way out is replaced at once.
        for _ in active.len()..count("parallelism").min(wanted.saturating_sub(succeeded)) {
            create_pod(store, key, job);
        }
    }
    store.edit(key, |job| {
        let status = &mut job["status"];
        if status["startTime"].is_null() {
            status["startTime"] = seconds(now).into();
        }
        status["active"] = active.len().into();
        status["ready"] = active.iter().filter(|pod| is_ready(pod)).count().into();
        status["succeeded"] = succeeded.into();
        status["failed"] = in_phase("Failed").into();
        if succeeded >= wanted {
            status["completionTime"] = seconds(now).into();
            status["conditions"] = json!([{"type": "Complete", "status": "True", "lastTransitionTime": seconds(now)}]);
        }
    });
}

fn is_over(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|it| (it["type"] == "Complete" || it["type"] == "Failed") && it["status"] == "True")
}

fn create_pod(store: &mut Store, key: &Key, job: &Value) {
    let template = &job["spec"]["template"];
    let pod = json!({
        "metadata": {
            "generateName": format!("{}-", key.name), "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"], "ownerReferences": [owner_reference(job)],
        },
        "spec": template["spec"],
    });
    // A namespace that is going forbids it; the real controller goes on trying as well.
    let _ = verbs::create(store, PODS, &key.namespace, pod, Writer::CONTROLLERS);
}
