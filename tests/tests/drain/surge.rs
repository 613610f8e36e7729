//! Lone replicas that are replaced before they go.

use std::{pin::pin, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::ResourceExt;
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{Confirm, DrainError, DrainOptions, DrainPolicy, Drainer, Verdict};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{budget, deployment, node},
};

use crate::cluster::{MINUTE, drain_with, evictions, left, on, seconds};

/// A Deployment with one pod, on w1, under a budget that needs it.
async fn lone() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1")).add(deployment("web/web")).add(budget("web/web").min_available(1));
    sleep(seconds(10)).await;
    api.add(node("w2"));
    assert_eq!(on(&api, "w1").len(), 1);
    api
}

fn cordon(api: &ApiServer) {
    api.edit::<k8s_openapi::api::core::v1::Node>("w1", json!({"spec": {"unschedulable": true}}));
}

/// How many pods were ready at the worst moment while something was done.
async fn fewest_ready_while<T>(api: &ApiServer, work: impl Future<Output = T>) -> (T, usize) {
    let mut work = pin!(work);
    let mut fewest = usize::MAX;
    loop {
        let pods = api.list::<Pod>();
        let conditions = pods.iter().filter_map(|pod| pod.status.as_ref()?.conditions.as_ref());
        let ready = conditions.filter(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"));
        fewest = fewest.min(ready.count());
        tokio::select! {
            done = &mut work => return (done, fewest),
            () = sleep(Duration::from_millis(100)) => {}
        }
    }
}

fn surging() -> DrainOptions {
    let policy = DrainPolicy { surge: vec!["app=web".parse().unwrap()], ..DrainPolicy::default() };
    DrainOptions { policy, timeout: MINUTE, ..DrainOptions::default() }
}

async fn verdict(api: &ApiServer, options: &DrainOptions) -> Verdict {
    let nodes = ["w1".to_owned()];
    let previews = Drainer::new(api.client()).previews(&nodes, options, Confirm::Everything).await.unwrap();
    previews[0].pods[0].verdict.clone()
}

#[tokio::test(start_paused = true)]
async fn a_lone_replica_goes_when_another_one_is_ready_though_its_budget_allows_no_eviction() {
    let api = lone().await;
    assert_eq!(verdict(&api, &surging()).await, Verdict::Replace { deployment: "web".into() });
    cordon(&api);
    let options = surging();
    let ((drained, told), fewest) = fewest_ready_while(&api, drain_with(&api, &options)).await;
    assert_eq!(drained.unwrap().moved.len(), 1);
    assert_eq!(fewest, 1);
    assert!(told.iter().any(|told| told.replacing == 1));
    assert_eq!((on(&api, "w1").len(), on(&api, "w2").len()), (0, 1));
    assert_eq!(evictions(&api).len(), 0, "its Deployment took it away");
}

#[tokio::test(start_paused = true)]
async fn without_the_sites_word_it_can_never_go() {
    let api = lone().await;
    assert!(matches!(verdict(&api, &DrainOptions::default()).await, Verdict::Never { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_does_not_get_ready_is_named_at_the_deadline_and_the_pod_still_serves() {
    let api = lone().await;
    cordon(&api);
    api.kubelet("w2", |kubelet| kubelet.pods_start_in = 10 * MINUTE);
    let begun = Instant::now();
    let error = drain_with(&api, &surging()).await.0.unwrap_err();
    assert_eq!(begun.elapsed(), MINUTE);
    assert!(matches!(error, DrainError::TimedOut { .. }), "{error:?}");
    let [line] = &left(&error)[..] else { panic!("{error:?}") };
    assert!(line.ends_with(": another one of deployment web was started first and is not ready"), "{line}");
    assert_eq!(on(&api, "w1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_would_end_its_pod_first_is_left_alone_and_says_why() {
    let api = lone().await;
    let mut recreating = json!({"spec": {"strategy": {"type": "Recreate"}}});
    api.edit::<Deployment>("web/web", recreating.take());
    let nodes = ["w1".to_owned()];
    let preview = Drainer::new(api.client()).previews(&nodes, &surging(), Confirm::Nothing).await.unwrap();
    assert!(matches!(preview[0].pods[0].verdict, Verdict::Never { .. }));
    assert!(preview[0].pods[0].cautions.iter().any(|caution| caution.contains("strategy Recreate")), "{preview:?}");
    let before: Vec<_> = api.list::<Pod>().iter().map(ResourceExt::name_any).collect();
    cordon(&api);
    drain_with(&api, &surging()).await.0.unwrap_err();
    assert_eq!(api.list::<Pod>().iter().map(ResourceExt::name_any).collect::<Vec<_>>(), before);
}
