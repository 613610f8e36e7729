//! Pods that a disruption budget keeps.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::{core::v1::Node, policy::v1::PodDisruptionBudget};
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{DrainError, DrainOptions, Drainer};
use usher_testkit::apiserver::{
    ApiServer, Fault,
    fixtures::{budget, deployment, node, pod},
};

use crate::cluster::{
    MINUTE, cluster, drain_with, drained, evictions, left, moved, names, owned, refused, seconds, within,
};

#[tokio::test(start_paused = true)]
async fn a_budget_that_never_allows_is_named_within_seconds_and_ends_at_the_deadline() {
    let api = cluster();
    api.add(pod("db/pg-0").on("w1").owned_by_stateful_set("pg")).add(budget("db/pg").min_available(1));
    api.add(owned("web/a"));
    let started = Instant::now();
    let mut named_after = None;
    let result = Drainer::new(api.client())
        .drain("w1", &within(MINUTE), &mut |progress| {
            if !progress.blocked.is_empty() {
                named_after.get_or_insert(started.elapsed());
            }
        })
        .await;
    let error = result.unwrap_err();
    assert!(named_after.unwrap() < seconds(2), "{named_after:?}");
    assert_eq!(started.elapsed(), MINUTE);
    assert_eq!(error.to_string(), "w1 was not empty after 1m0s: 1 pod gone");
    let [line] = &left(&error)[..] else { panic!("{error:?}") };
    let words = "db/pg-0: The disruption budget pg needs 1 healthy pods and has 1 currently (refused for ";
    assert!(line.starts_with(words), "{line}");
    let DrainError::TimedOut { remains, .. } = error else { panic!() };
    assert_eq!(remains.blocked[0].budget.as_deref(), Some("pg"));
    assert_eq!(names(remains.moved.iter().map(|moved| &moved.pod)), ["web/a"]);
    // Nothing changes, so that it is asked about only by the slow clock.
    assert!(evictions(&api).len() <= 15, "{}", evictions(&api).len());
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_still_being_counted_is_asked_again_when_the_server_says() {
    let api = ApiServer::bare();
    api.add(node("w1").cordoned());
    api.add(owned("web/a").labelled("app", "web"));
    api.add(budget("web/web").min_available(0).counted(1, 0, 1));
    api.edit::<PodDisruptionBudget>(
        "web/web",
        json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}),
    );
    let (_, told) = drain_with(&api, &within(seconds(25))).await;
    let blocked = told.iter().find_map(|progress| progress.blocked.first()).unwrap();
    assert_eq!(blocked.message, "The disruption budget web is still being processed by the server.");
    assert_eq!(evictions(&api).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pod_with_two_budgets_fails_alone_and_the_others_finish() {
    let api = cluster();
    api.add(owned("web/a").labelled("app", "web").labelled("tier", "front"));
    api.add(budget("web/web").max_unavailable(1)).add(budget("web/tier").selecting("tier", "front").max_unavailable(1));
    api.add(owned("web/slow").stops_after(seconds(20)));
    let started = Instant::now();
    let error = refused(&api, &DrainOptions::default()).await;
    let DrainError::Failed { remains, .. } = &error else { panic!("{error:?}") };
    assert_eq!(names(remains.moved.iter().map(|moved| &moved.pod)), ["web/slow"]);
    assert_eq!(error.to_string(), "w1 cannot be drained: 1 pod cannot be evicted");
    let words = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    assert_eq!(left(&error), [format!("web/a: {words}")]);
    assert!(started.elapsed() < MINUTE);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_edited_or_removed_frees_its_pods_at_once() {
    for remove in [false, true] {
        let api = cluster();
        api.add(pod("web/a").on("w1").owned_by_replica_set("web")).add(budget("web/web").min_available(1));
        sleep(seconds(2)).await;
        let edit = api.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(6_500)).await;
            if remove {
                edit.remove::<PodDisruptionBudget>("web/web");
            } else {
                let free = json!({"spec": {"minAvailable": 0}, "metadata": {"generation": 2}});
                edit.edit::<PodDisruptionBudget>("web/web", free);
            }
        });
        let took = drained(&api).await.took;
        assert!(took > seconds(6) && took < seconds(9), "remove {remove}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_watch_budgets_asks_by_a_slow_clock() {
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    api.add(deployment("web/web").replicas(4)).add(budget("web/web").max_unavailable(1));
    sleep(seconds(5)).await;
    api.edit::<Node>("w1", json!({"spec": {"unschedulable": true}}));
    let forbidden = api.inject(Fault::on(Method::GET, "poddisruptionbudgets").status(403).always());
    let drained = drained(&api).await;
    assert_eq!((drained.moved.len(), forbidden.hits()), (2, 1));
    assert!(drained.took < seconds(25), "{:?}", drained.took);
}

/// The server counts an eviction before it deletes the pod. If the connection breaks in between, the budget takes the pod for
/// gone, and the pod lives; the disruption controller forgets that after two minutes.
#[tokio::test(start_paused = true)]
async fn an_eviction_that_broke_off_half_way_is_waited_for_until_the_budget_has_forgotten_it() {
    let api = ApiServer::new();
    api.add(node("w1").cordoned()).add(node("w2"));
    for (name, node) in [("web/a", "w1"), ("web/b", "w2")] {
        api.add(pod(name).on(node).owned_by_replica_set("web"));
    }
    api.add(budget("web/web").min_available(1));
    sleep(seconds(3)).await;
    let now = api.clock().now().to_string();
    api.edit::<PodDisruptionBudget>(
        "web/web",
        json!({"status": {"disruptionsAllowed": 0, "disruptedPods": {"a": now}}}),
    );
    let drained = drained(&api).await;
    assert_eq!(moved(&drained), ["web/a"]);
    assert!(drained.took > seconds(115) && drained.took < seconds(130), "{:?}", drained.took);
}
