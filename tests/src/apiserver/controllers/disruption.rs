//! The disruption controller: recounts budgets.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{Due, earlier};
use crate::apiserver::{
    resource::{BUDGETS, PODS, REPLICA_SETS, Resource, STATEFUL_SETS},
    selector::label_selector_matches,
    store::{Key, Store, controller, is_ready, is_terminating, meta},
};

/// An eviction that has not led to a deletion within this time is forgotten.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);

/// What a budget's counts are made of.
const COUNTED: [&Resource; 4] = [BUDGETS, PODS, REPLICA_SETS, STATEFUL_SETS];

/// Recounts the budgets of the namespaces in which something has changed since a version, or that wait for a time; all of them if it
/// is not known what has changed.
pub(super) fn pass(store: &mut Store, since: Option<u64>, now: Timestamp) -> Due {
    let mut due = None;
    let changed = store.changed_since(since, &COUNTED);
    let is_outdated = |key: &Key, budget: &Value| {
        let waits = budget["status"]["disruptedPods"].as_object().is_some_and(|pods| !pods.is_empty());
        waits || changed.has(&key.namespace)
    };
    let budgets = store.list(BUDGETS, None).filter(|(key, budget)| is_outdated(key, budget));
    let budgets: Vec<Key> = budgets.map(|(key, _)| key.clone()).collect();
    for key in budgets {
        let Some(budget) = store.get(&key) else { continue };
        let status = recount(store, &key, &budget, now);
        let disrupted = status["disruptedPods"].as_object().into_iter().flat_map(|pods| pods.values());
        for since in disrupted.filter_map(evicted_at) {
            due = earlier(due, Some(since + DELETION_TIMEOUT));
        }
        store.edit(&key, |budget| {
            for (field, value) in status {
                budget["status"][field] = value;
            }
        });
    }
    due
}

fn evicted_at(since: &Value) -> Option<Timestamp> {
    since.as_str()?.parse().ok()
}

fn recount(store: &Store, key: &Key, budget: &Value, now: Timestamp) -> Map<String, Value> {
    let pods: Vec<&Value> = store
        .list(PODS, Some(&key.namespace))
        .map(|(_, pod)| &**pod)
        .filter(|pod| label_selector_matches(&budget["spec"]["selector"], &pod["metadata"]["labels"]))
        .collect();
    let disrupted = still_disrupted(&budget["status"]["disruptedPods"], &pods, now);
    let healthy = pods
        .iter()
        .filter(|pod| is_ready(pod) && !is_terminating(pod) && !disrupted.contains_key(meta(pod, "name")))
        .count();
    let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
    let (expected, desired) = wanted(store, &budget["spec"], &pods);
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let mut status = Map::new();
    status.insert("expectedPods".to_owned(), expected.into());
    status.insert("desiredHealthy".to_owned(), desired.into());
    status.insert("currentHealthy".to_owned(), healthy.into());
    status.insert("disruptionsAllowed".to_owned(), allowed.into());
    status.insert("observedGeneration".to_owned(), budget["metadata"]["generation"].clone());
    status.insert("disruptedPods".to_owned(), Value::Object(disrupted));
    status
}

/// Evicted pods whose deletion has not been seen yet: they count as gone already.
fn still_disrupted(disrupted: &Value, pods: &[&Value], now: Timestamp) -> Map<String, Value> {
    let recent = |since: &Value| evicted_at(since).is_some_and(|since| now.duration_since(since) < DELETION_TIMEOUT);
    let living = |name: &str| pods.iter().any(|pod| meta(pod, "name") == name && !is_terminating(pod));
    let entries = disrupted.as_object().into_iter().flatten();
    entries.filter(|(name, since)| living(name) && recent(since)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// How many pods there should be, and how many of them must be healthy.
fn wanted(store: &Store, spec: &Value, pods: &[&Value]) -> (i64, i64) {
    let count = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    if let Some(least) = spec["minAvailable"].as_i64() {
        return (count, least);
    }
    let expected = expected(store, pods);
    if let Some(percent) = percent(&spec["minAvailable"]) {
        return (expected, share(percent, expected));
    }
    let most =
        spec["maxUnavailable"].as_i64().or_else(|| percent(&spec["maxUnavailable"]).map(|it| share(it, expected)));
    (expected, most.map_or(0, |most| (expected - most).max(0)))
}

fn percent(value: &Value) -> Option<i64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// A share of a whole, rounded up, as the real controller does for both kinds of budgets.
fn share(percent: i64, whole: i64) -> i64 {
    (percent * whole + 99) / 100
}

/// The replicas that the pods' controllers want; a controller that is not known here counts as many as it has pods.
fn expected(store: &Store, pods: &[&Value]) -> i64 {
    let mut seen = Vec::new();
    let mut expected = 0;
    for pod in pods {
        let owner = controller(pod);
        let uid = owner.map_or(meta(pod, "uid"), |owner| owner["uid"].as_str().unwrap_or_default());
        let scale = owner.and_then(|owner| {
            let name = owner["name"].as_str()?;
            [REPLICA_SETS, STATEFUL_SETS].into_iter().find_map(|resource| {
                let found = store.get(&Key::new(resource, meta(pod, "namespace"), name))?;
                (meta(&found, "uid") == uid).then(|| found["spec"]["replicas"].as_i64()).flatten()
            })
        });
        match scale {
            Some(_) if seen.contains(&uid) => {}
            Some(replicas) => {
                seen.push(uid);
                expected += replicas;
            }
            None => expected += 1,
        }
    }
    expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_up() {
        assert_eq!([share(50, 7), share(25, 4), share(1, 1), share(0, 9), share(100, 3)], [4, 1, 1, 0, 3]);
    }
}
