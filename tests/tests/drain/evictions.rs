//! What is evicted, how it is asked for, and when it counts as gone.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use serde_json::json;
use tokio::time::sleep;
use usher_coordinator::drain::{DrainOptions, Drainer, whereabouts};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{budget, deployment, node, pod, stateful_set},
};

use crate::cluster::{
    MINUTE, cluster, drain_with, drained, evictions, left, moved, on, owned, refused, seconds, within,
};

#[tokio::test(start_paused = true)]
async fn every_pod_goes_within_its_budget_and_comes_back_elsewhere() {
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    api.add(deployment("web/web").replicas(8).pods_stop_after(seconds(2)));
    api.add(budget("web/web").max_unavailable(2));
    sleep(seconds(5)).await;
    assert_eq!((on(&api, "w1").len(), on(&api, "w2").len()), (4, 4));
    api.edit::<Node>("w1", json!({"spec": {"unschedulable": true}}));

    let (result, told) = drain_with(&api, &DrainOptions::default()).await;
    let drained = result.unwrap();
    assert_eq!((drained.moved.len(), on(&api, "w1").len(), on(&api, "w2").len()), (4, 0, 8));
    assert!(drained.took < MINUTE, "{:?}", drained.took);
    // Two at once, as the budget says; the others when successors are ready, even while the first ones still end.
    let full = told.iter().find(|progress| progress.blocked.len() == 2).unwrap();
    assert_eq!(full.leaving, 2);
    let waiting = told.iter().filter_map(|progress| progress.blocked.first()).next_back().unwrap();
    assert_eq!(waiting.budget.as_deref(), Some("web"));
    assert_eq!(waiting.message, "The disruption budget web needs 6 healthy pods and has 6 currently");
    assert_eq!((told.last().unwrap().gone, told.last().unwrap().total), (4, 4));

    let whereabouts = whereabouts(&api.client(), &drained.moved).await.unwrap();
    assert_eq!(whereabouts.by_node, [("w2".to_owned(), 4)].into());
    assert_eq!((whereabouts.unscheduled, whereabouts.without_successor), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn for_pods_that_nobody_replaces_no_successor_is_looked_for() {
    let api = cluster();
    api.add(pod("web/bare").on("w1"));
    let drained = drain_with(&api, &DrainOptions { force: true, ..DrainOptions::default() }).await.0.unwrap();
    api.forget_requests();
    let whereabouts = whereabouts(&api.client(), &drained.moved).await.unwrap();
    assert_eq!((whereabouts.without_successor, api.requests().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_eviction_names_the_very_pod_and_the_grace() {
    let api = cluster();
    api.add(owned("web/a"));
    let uid = api.get::<Pod>("web/a").unwrap().uid().unwrap();
    let options = DrainOptions { grace_seconds: Some(3), ..DrainOptions::default() };
    drain_with(&api, &options).await.0.unwrap();
    let [eviction] = &evictions(&api)[..] else { panic!() };
    assert_eq!(eviction["deleteOptions"], json!({"gracePeriodSeconds": 3, "preconditions": {"uid": uid}}));
}

#[tokio::test(start_paused = true)]
async fn eviction_can_be_disabled_and_then_pods_are_deleted_by_identity() {
    let api = cluster();
    api.add(pod("db/pg-0").on("w1").owned_by_stateful_set("pg")).add(budget("db/pg").min_available(1));
    sleep(seconds(2)).await;
    api.forget_requests();
    let options = DrainOptions { disable_eviction: true, ..DrainOptions::default() };
    let drained = drain_with(&api, &options).await.0.unwrap();
    assert_eq!(api.writes(), ["DELETE /api/v1/namespaces/db/pods/pg-0"]);
    let body = api.requests().iter().find(|call| call.method == "DELETE").unwrap().body.clone();
    assert!(body.contains(&drained.moved[0].pod.uid), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_bound_after_the_first_list_is_drained_too() {
    let api = cluster();
    api.add(owned("web/slow").stops_after(seconds(10)));
    let late = api.clone();
    tokio::spawn(async move {
        sleep(seconds(4)).await;
        late.add(owned("web/late"));
    });
    assert_eq!(moved(&drained(&api).await), ["web/late", "web/slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_successor_of_the_same_name_elsewhere_is_another_pod() {
    let api = ApiServer::new();
    api.add(node("w1"));
    api.add(stateful_set("db/pg").replicas(1).pods_stop_after(seconds(3)));
    sleep(seconds(5)).await;
    let before = api.get::<Pod>("db/pg-0").unwrap().uid().unwrap();
    api.edit::<Node>("w1", json!({"spec": {"unschedulable": true}})).add(node("w2"));
    let drained = drained(&api).await;
    assert_eq!(drained.moved[0].pod.uid, before);
    sleep(seconds(5)).await;
    assert_ne!(api.get::<Pod>("db/pg-0").unwrap().uid().unwrap(), before);
    assert_eq!(on(&api, "w2"), ["pg-0"]);
    assert_eq!(evictions(&api).len(), 1);
}

/// Paused time moves the server's clock, but not this machine's: in this test the operator's clock seems to stand still.
#[tokio::test(start_paused = true)]
async fn whether_a_grace_period_is_over_is_judged_by_the_servers_clock() {
    for (offset, is_over) in [(0, false), (60, true)] {
        let api = cluster();
        api.add(owned("web/stuck").never_stops());
        let options = DrainOptions { skip_wait_for_delete: Some(seconds(1)), ..within(MINUTE) };
        let drainer = Drainer::new(api.client()).with_clock_offset(SignedDuration::from_secs(offset));
        let drained = drainer.drain("w1", &options, &mut |_| {}).await;
        assert_eq!(drained.is_ok_and(|drained| drained.stayed.len() == 1), is_over, "{offset} s ahead");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_end_is_named_at_the_deadline() {
    let api = cluster();
    api.add(owned("web/stuck").never_stops());
    let error = refused(&api, &within(MINUTE)).await;
    assert_eq!(error.to_string(), "w1 was not empty after 1m0s: 0 pods gone");
    assert_eq!(left(&error), ["web/stuck: told to go, has not ended"]);
    assert!(!error.nothing_was_evicted());
}

#[tokio::test(start_paused = true)]
async fn an_empty_node_is_drained_at_once() {
    let api = cluster();
    let drained = drained(&api).await;
    assert_eq!((drained.moved.len(), api.writes().len()), (0, 0));
}
