//! The eviction subresource: who may go, and what is said to who may not.

use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::PodDisruptionBudget},
    apimachinery::pkg::apis::meta::v1::Status,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    Server,
    pods::{plain, running, with_phase},
    seen::{Seen, field, make},
};

/// One eviction with these `deleteOptions`.
pub(crate) async fn evict(pods: &Api<Pod>, name: &str, options: Value, dry_run: bool) -> kube::Result<Status> {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options,
    });
    let params = PostParams { dry_run, ..PostParams::default() };
    pods.create_subresource("eviction", name, &params, &eviction).await
}

/// A budget over `app=web` with this status, set by hand.
async fn budget(seen: &Seen, name: &str, spec: Value, status: Value) -> Api<PodDisruptionBudget> {
    let budgets: Api<PodDisruptionBudget> = seen.api();
    let mut spec = spec;
    if spec["selector"].is_null() {
        spec["selector"] = json!({"matchLabels": {"app": "web"}});
    }
    let budget: PodDisruptionBudget = make(json!({"metadata": {"name": name}, "spec": spec}));
    budgets.create(&PostParams::default(), &budget).await.expect("a budget");
    count(&budgets, name, status).await;
    budgets
}

async fn count(budgets: &Api<PodDisruptionBudget>, name: &str, status: Value) {
    let mut whole = json!({
        "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0, "observedGeneration": 1,
    });
    for (key, value) in status.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let patch = Patch::Merge(json!({"status": whole}));
    budgets.patch_status(name, &PatchParams::default(), &patch).await.expect("a budget's status");
}

async fn left(seen: &mut Seen, pods: &Api<Pod>, name: &str) {
    match pods.get_opt(name).await.unwrap() {
        None => seen.note(name, "gone"),
        Some(pod) => {
            let going = pod.metadata.deletion_timestamp.is_some();
            seen.note(name, if going { "going" } else { "untouched" });
            let conditions = pod.status.unwrap().conditions.unwrap_or_default();
            if let Some(target) = conditions.into_iter().find(|it| it.type_ == "DisruptionTarget") {
                let words = (target.reason.unwrap_or_default(), target.message.unwrap_or_default());
                seen.note("condition", format!("DisruptionTarget={} {} {}", target.status, words.0, words.1));
            }
        }
    }
}

pub(crate) async fn free(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    running(&pods, "p", "w1", json!({"app": "web"})).await;
    let answer = seen.call("evict", evict(&pods, "p", json!({}), false).await).unwrap();
    seen.note("answer", format!("{:?} {:?}", answer.status, answer.code));
    left(seen, &pods, "p").await;
    seen.call("evict again", evict(&pods, "p", json!({}), false).await);
    seen.call("evict nobody", evict(&pods, "nobody", json!({}), false).await);
}

pub(crate) async fn budgeted(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    for name in ["a", "b", "c"] {
        running(&pods, name, "w1", json!({"app": "web"})).await;
    }
    let allows_one = json!({"currentHealthy": 3, "desiredHealthy": 2, "disruptionsAllowed": 1, "expectedPods": 3});
    let budgets = budget(seen, "web", json!({"minAvailable": 2}), allows_one).await;
    seen.call("first", evict(&pods, "a", json!({}), false).await);
    let counted = budgets.get("web").await.unwrap();
    seen.note("allowed", field(&counted, "/status/disruptionsAllowed"));
    let disrupted = counted.status.unwrap().disrupted_pods.unwrap_or_default();
    seen.note("on their way", disrupted.keys().cloned().collect::<Vec<_>>().join(","));
    seen.call("second, not recounted", evict(&pods, "b", json!({}), false).await);
    count(&budgets, "web", json!({"currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 3})).await;
    seen.call("second, recounted", evict(&pods, "b", json!({}), false).await);
    left(seen, &pods, "b").await;
    seen.call("one that is going already", evict(&pods, "a", json!({}), false).await);
    count(&budgets, "web", json!({"currentHealthy": 1, "desiredHealthy": 2, "expectedPods": 3})).await;
    seen.call("fewer than needed", evict(&pods, "b", json!({}), false).await);
    let synced = json!({"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed",
        "message": "no controller", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    count(&budgets, "web", json!({"currentHealthy": 3, "desiredHealthy": 2, "conditions": [synced]})).await;
    seen.call("sync failed", evict(&pods, "b", json!({}), false).await);
}

pub(crate) async fn not_yet_counted(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    running(&pods, "a", "w1", json!({"app": "web"})).await;
    let allows = json!({"currentHealthy": 3, "disruptionsAllowed": 1, "observedGeneration": 0});
    let budgets = budget(seen, "web", json!({"minAvailable": 2}), allows).await;
    seen.call("evict", evict(&pods, "a", json!({}), false).await);
    left(seen, &pods, "a").await;
    let spec = Patch::Merge(json!({"spec": {"minAvailable": 1}}));
    count(&budgets, "web", json!({"currentHealthy": 3, "disruptionsAllowed": 1})).await;
    budgets.patch("web", &PatchParams::default(), &spec).await.unwrap();
    seen.call("evict after a change of the budget", evict(&pods, "a", json!({}), false).await);
}

pub(crate) async fn two_budgets(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    running(&pods, "a", "w1", json!({"app": "web"})).await;
    let allows = json!({"currentHealthy": 3, "desiredHealthy": 1, "disruptionsAllowed": 2});
    budget(seen, "one", json!({"minAvailable": 1}), allows.clone()).await;
    budget(seen, "two", json!({"maxUnavailable": 1}), allows).await;
    seen.call("evict", evict(&pods, "a", json!({}), false).await);
    left(seen, &pods, "a").await;
}

pub(crate) async fn unready_pods(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    for name in ["a", "b", "c", "d"] {
        with_phase(&pods, name, "w1", json!({"app": "web"}), "Running", false).await;
    }
    let short = json!({"currentHealthy": 1, "desiredHealthy": 2});
    let budgets = budget(seen, "web", json!({"minAvailable": 2}), short.clone()).await;
    seen.call("while the others do not fulfil the budget", evict(&pods, "a", json!({}), false).await);
    count(&budgets, "web", json!({"currentHealthy": 2, "desiredHealthy": 2})).await;
    seen.call("while they do", evict(&pods, "b", json!({}), false).await);
    seen.note("allowed", field(&budgets.get("web").await.unwrap(), "/status/disruptionsAllowed"));
    count(&budgets, "web", json!({"currentHealthy": 0, "desiredHealthy": 0})).await;
    seen.call("while none is wanted", evict(&pods, "c", json!({}), false).await);
    let always = Patch::Merge(json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}));
    budgets.patch("web", &PatchParams::default(), &always).await.unwrap();
    count(&budgets, "web", short).await;
    seen.call("with AlwaysAllow", evict(&pods, "d", json!({}), false).await);
}

pub(crate) async fn unprotected_phases(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    let none = json!({"currentHealthy": 1, "desiredHealthy": 1});
    budget(seen, "web", json!({"minAvailable": 1}), none).await;
    for phase in ["Pending", "Succeeded", "Failed", "Running"] {
        let name = phase.to_lowercase();
        with_phase(&pods, &name, "w1", json!({"app": "web"}), phase, phase == "Running").await;
        seen.call(phase, evict(&pods, &name, json!({}), false).await);
        left(seen, &pods, &name).await;
    }
    let mut unbound = plain("unbound");
    unbound.labels_mut().insert("app".to_owned(), "web".to_owned());
    pods.create(&PostParams::default(), &unbound).await.unwrap();
    seen.call("one that is bound to nothing", evict(&pods, "unbound", json!({}), false).await);
    left(seen, &pods, "unbound").await;
}

pub(crate) async fn preconditions(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    running(&pods, "p", "w1", json!({"app": "web"})).await;
    let allows = json!({"currentHealthy": 3, "desiredHealthy": 1, "disruptionsAllowed": 2});
    let budgets = budget(seen, "web", json!({"minAvailable": 1}), allows).await;
    let stranger = json!({"preconditions": {"uid": "11111111-2222-4333-8444-555555555555"}});
    seen.call("another uid", evict(&pods, "p", stranger.clone(), false).await);
    seen.note("allowed", field(&budgets.get("web").await.unwrap(), "/status/disruptionsAllowed"));
    left(seen, &pods, "p").await;
    seen.call("another uid, dry", evict(&pods, "p", stranger, true).await);
    let old = json!({"preconditions": {"resourceVersion": "1"}});
    seen.call("another version", evict(&pods, "p", old, false).await);
    let uid = pods.get("p").await.unwrap().uid().unwrap();
    seen.call("its own uid", evict(&pods, "p", json!({"preconditions": {"uid": uid}}), false).await);
    left(seen, &pods, "p").await;
}

pub(crate) async fn dry_evictions(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    for name in ["a", "b"] {
        running(&pods, name, "w1", json!({"app": "web"})).await;
    }
    let allows_one = json!({"currentHealthy": 2, "desiredHealthy": 1, "disruptionsAllowed": 1, "expectedPods": 2});
    let budgets = budget(seen, "web", json!({"minAvailable": 1}), allows_one).await;
    for name in ["a", "b"] {
        seen.call("in the query", evict(&pods, name, json!({}), true).await);
        left(seen, &pods, name).await;
    }
    seen.call("in the options", evict(&pods, "a", json!({"dryRun": ["All"]}), false).await);
    left(seen, &pods, "a").await;
    seen.note("allowed", field(&budgets.get("web").await.unwrap(), "/status/disruptionsAllowed"));
    count(&budgets, "web", json!({"currentHealthy": 1, "desiredHealthy": 1})).await;
    seen.call("what would not be allowed", evict(&pods, "a", json!({}), true).await);
}

pub(crate) async fn grace_and_names(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    for (name, options) in
        [("own", json!({})), ("seven", json!({"gracePeriodSeconds": 7})), ("none", json!({"gracePeriodSeconds": 0}))]
    {
        running(&pods, name, "w1", json!({"app": "web"})).await;
        seen.call(name, evict(&pods, name, options, false).await);
        match pods.get_opt(name).await.unwrap() {
            Some(pod) => seen.note("grace", field(&pod, "/metadata/deletionGracePeriodSeconds")),
            None => seen.note("grace", "gone"),
        }
    }
    running(&pods, "p", "w1", json!({})).await;
    let other = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "q"}});
    let result: kube::Result<Status> = pods.create_subresource("eviction", "p", &PostParams::default(), &other).await;
    seen.call("another name in the body", result);
    let typeless = json!({"metadata": {"name": "p"}});
    let result: kube::Result<Status> =
        pods.create_subresource("eviction", "p", &PostParams::default(), &typeless).await;
    seen.call("without a type", result);
    let beta = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": "seven"}});
    let result: kube::Result<Status> =
        pods.create_subresource("eviction", "seven", &PostParams::default(), &beta).await;
    seen.call("v1beta1", result);
    pods.delete("p", &DeleteParams::default()).await.ok();
}

pub(crate) async fn selectors_of_budgets(_: &impl Server, seen: &mut Seen) {
    let pods: Api<Pod> = seen.api();
    let none = json!({"currentHealthy": 1, "desiredHealthy": 1});
    let budgets: Api<PodDisruptionBudget> = seen.api();
    let selectorless: PodDisruptionBudget = make(json!({"metadata": {"name": "null"}, "spec": {"minAvailable": 1}}));
    budgets.create(&PostParams::default(), &selectorless).await.unwrap();
    count(&budgets, "null", none.clone()).await;
    running(&pods, "a", "w1", json!({"app": "web"})).await;
    seen.call("no selector selects nothing", evict(&pods, "a", json!({}), false).await);
    budgets.delete("null", &DeleteParams::default()).await.unwrap();
    budget(seen, "all", json!({"minAvailable": 1, "selector": {}}), none).await;
    running(&pods, "b", "w1", json!({"app": "web"})).await;
    seen.call("an empty one selects all", evict(&pods, "b", json!({}), false).await);
}
