//! The eviction subresource, in the order in which kube-apiserver evaluates it.

use serde_json::{Value, json};

use super::{
    answer::Failure,
    clock::seconds,
    resource::{BUDGETS, PODS},
    selector::label_selector_matches,
    store::{Key, Store, copied, is_ready, is_terminating, meta},
    verbs::{self, DeleteOptions},
};

/// Above this many pods on their way, a budget allows no more.
const MOST_DISRUPTED_PODS: usize = 2000;
/// Seconds after which to ask again while a budget has not been recounted since its change.
const NOT_YET_OBSERVED: u32 = 10;

/// Evicts a pod, or tells why not.
pub(super) fn evict(store: &mut Store, key: &Key, eviction: &Value, query_dry_run: bool) -> Result<Value, Failure> {
    check_type(key, eviction)?;
    let options = DeleteOptions::parse(&eviction["deleteOptions"], query_dry_run)?;
    verbs::admit_to_namespace(store, key)?;
    let pod = verbs::get(store, key)?;
    if !goes_without_budget(&pod) {
        pass_budget(store, key, &pod, options.dry_run)?;
    }
    if !options.dry_run {
        options.check(key, &pod)?;
        mark(store, key);
    }
    // The mark changed the version; the precondition was met before it.
    verbs::delete(store, key, &DeleteOptions { version: None, ..options })?;
    Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
}

fn check_type(key: &Key, eviction: &Value) -> Result<(), Failure> {
    let version = eviction["apiVersion"].as_str().unwrap_or("policy/v1");
    let kind = eviction["kind"].as_str().unwrap_or("Eviction");
    if !matches!(version, "policy/v1" | "policy/v1beta1") || kind != "Eviction" {
        return Err(Failure::bad_request(format!("no kind \"{kind}\" is registered for version \"{version}\"")));
    }
    if meta(eviction, "name") != key.name {
        return Err(Failure::bad_request("name in URL does not match name in Eviction object"));
    }
    Ok(())
}

/// Pods that do not serve yet or any more are not protected.
fn goes_without_budget(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Pending" | "Succeeded" | "Failed")) || is_terminating(pod)
}

fn pass_budget(store: &mut Store, key: &Key, pod: &Value, dry_run: bool) -> Result<(), Failure> {
    let labels = &pod["metadata"]["labels"];
    let budgets = store
        .list(BUDGETS, Some(&key.namespace))
        .filter(|(_, budget)| label_selector_matches(&budget["spec"]["selector"], labels));
    let budgets = copied(budgets);
    let (budget_key, budget) = match budgets.as_slice() {
        [] => return Ok(()),
        [one] => one,
        _ => {
            let message =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Failure::new(500, "", message));
        }
    };
    if !is_ready(pod) && unready_may_go(budget) {
        return Ok(());
    }
    check_budget(budget_key, budget)?;
    if !dry_run {
        let now = seconds(store.now());
        store.edit(budget_key, |budget| {
            let allowed = budget["status"]["disruptionsAllowed"].as_i64().unwrap_or(0);
            budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
            budget["status"]["disruptedPods"][&key.name] = now.into();
        });
    }
    Ok(())
}

/// The policy for pods that are not ready: always, or (the default) while the others fulfil the budget.
fn unready_may_go(budget: &Value) -> bool {
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (count("currentHealthy") >= count("desiredHealthy") && count("desiredHealthy") > 0)
}

fn check_budget(key: &Key, budget: &Value) -> Result<(), Failure> {
    let name = &key.name;
    let status = &budget["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    if count("observedGeneration") < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        let cause = format!("The disruption budget {name} is still being processed by the server.");
        return Err(violation().retry_after(NOT_YET_OBSERVED).cause("DisruptionBudget", cause));
    }
    let forbidden = |why: &str| {
        let message = format!("poddisruptionbudgets.policy \"{name}\" is forbidden: {why}");
        Failure::new(403, "Forbidden", message).about(BUDGETS, name)
    };
    if count("disruptionsAllowed") < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MOST_DISRUPTED_PODS) {
        return Err(forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller"));
    }
    if count("disruptionsAllowed") == 0 {
        return Err(violation().cause("DisruptionBudget", why_none_allowed(name, status)));
    }
    Ok(())
}

fn violation() -> Failure {
    Failure::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
}

fn why_none_allowed(name: &str, status: &Value) -> String {
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let (desired, current) = (count("desiredHealthy"), count("currentHealthy"));
    let condition = status["conditions"].as_array().into_iter().flatten();
    let condition = condition.into_iter().find(|it| it["type"] == "DisruptionAllowed" && it["status"] != "True");
    match condition {
        Some(it) if it["reason"] == "SyncFailed" => {
            let message = it["message"].as_str().unwrap_or_default();
            format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
            )
        }
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some(it) if it["message"].as_str().is_some_and(|message| !message.is_empty()) => {
            let word = |field: &str| it[field].as_str().unwrap_or_default();
            let (reason, message) = (word("reason"), word("message"));
            format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {message}")
        }
        _ => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

/// Leaves the trace in the pod's status by which its controllers see why it goes.
fn mark(store: &mut Store, key: &Key) {
    let now = seconds(store.now());
    store.edit(key, |pod| {
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": now,
        });
        match &mut pod["status"]["conditions"] {
            Value::Array(conditions) => {
                conditions.retain(|it| it["type"] != "DisruptionTarget");
                conditions.push(condition);
            }
            none => *none = json!([condition]),
        }
    });
}

/// The key of the pod that an eviction names.
pub(super) fn pod(namespace: &str, name: &str) -> Key {
    Key::new(PODS, namespace, name)
}
