//! What a site wants of its drains beyond kubectl's filters.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::sleep;
use usher_coordinator::drain::{
    Confirm, DrainError, DrainOptions, DrainPolicy, Drained, Drainer, PodSelector, StayReason, Verdict,
};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{PodFixture, pod},
};

use crate::cluster::{MINUTE, cluster, drain_with, left, seconds};

fn of(job: &str, name: &str) -> PodFixture {
    pod(name).on("w1").owned_by_job(job)
}

fn selectors(texts: &[&str]) -> Vec<PodSelector> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

async fn drain_under(api: &ApiServer, policy: DrainPolicy) -> Result<Drained, DrainError> {
    drain_with(api, &DrainOptions { policy, timeout: MINUTE, ..DrainOptions::default() }).await.0
}

/// The pods that have gone, in the order in which they went.
fn in_order(drained: &Drained) -> Vec<String> {
    drained.moved.iter().map(|moved| moved.pod.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_to_be_skipped_stay_even_if_they_would_forbid_the_drain() {
    let api = cluster();
    api.add(pod("tools/shell").on("w1").labelled("keep", "yes")).add(of("batch", "web/a"));
    let policy = DrainPolicy { skip: selectors(&["keep=yes"]), ..DrainPolicy::default() };
    let drained = drain_under(&api, policy).await.unwrap();
    assert_eq!(in_order(&drained), ["web/a"]);
    assert_eq!(drained.stayed[0].reason, StayReason::Policy);
}

#[tokio::test(start_paused = true)]
async fn pods_of_protected_namespaces_forbid_a_drain() {
    let api = cluster();
    api.add(of("batch", "storage/osd")).add(of("batch", "web/a"));
    api.forget_requests();
    let policy = DrainPolicy { protected_namespaces: vec!["storage".into()], ..DrainPolicy::default() };
    let error = drain_under(&api, policy).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 pod on w1 forbids a drain\n\
         cannot delete Pods in protected namespaces (use --allow-namespace to override): storage/osd"
    );
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn jobs_may_finish_before_their_pods_are_removed() {
    let api = cluster();
    api.add(of("report", "web/report")).add(pod("web/a").on("w1").owned_by_replica_set("web"));
    let policy = DrainPolicy { wait_for_jobs: true, ..DrainPolicy::default() };
    let options = DrainOptions { policy: policy.clone(), ..DrainOptions::default() };
    let nodes = ["w1".to_owned()];
    let previews = Drainer::new(api.client()).previews(&nodes, &options, Confirm::Everything).await.unwrap();
    assert_eq!(previews[0].pods[1].verdict, Verdict::Finish);
    assert_eq!(previews[0].to_string(), "2 pods: 1 can go now, 1 must end by themselves first");

    let end = api.clone();
    tokio::spawn(async move {
        sleep(seconds(20)).await;
        end.edit::<Pod>("web/report", json!({"status": {"phase": "Succeeded"}}));
    });
    let drained = drain_under(&api, policy).await.unwrap();
    assert_eq!(in_order(&drained), ["web/a", "web/report"]);
    assert!(drained.took >= seconds(20) && drained.took < seconds(25), "{:?}", drained.took);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_finish_in_time_is_named_and_not_evicted() {
    let api = cluster();
    api.add(of("report", "web/report"));
    api.forget_requests();
    let error = drain_under(&api, DrainPolicy { wait_for_jobs: true, ..DrainPolicy::default() }).await.unwrap_err();
    assert_eq!(left(&error), ["web/report: was to end by itself, has not"]);
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn groups_go_one_after_another() {
    let api = cluster();
    for (name, tier) in [("web/a", "db"), ("web/b", "front"), ("web/c", "cache"), ("web/d", "other")] {
        api.add(of("batch", name).labelled("tier", tier).stops_after(seconds(3)));
    }
    let policy = DrainPolicy { order: selectors(&["tier=front", "tier in (cache,db)"]), ..DrainPolicy::default() };
    let drained = drain_under(&api, policy).await.unwrap();
    let mut order = in_order(&drained);
    order[1..3].sort();
    assert_eq!(order, ["web/b", "web/a", "web/c", "web/d"]);
    assert!(drained.took >= seconds(9), "{:?}", drained.took);
}
