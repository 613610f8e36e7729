//! Where successors could go: nowhere, nowhere now, or back to where they came from.

use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{Confirm, DrainError, DrainOptions, Drainer, PodVerdict, Verdict};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{budget, deployment, node},
};

use crate::cluster::{MINUTE, drain_with, evictions, left, on, seconds, within};

async fn verdicts(api: &ApiServer) -> Vec<PodVerdict> {
    let nodes = ["w1".to_owned()];
    let previews = Drainer::new(api.client()).previews(&nodes, &DrainOptions::default(), Confirm::Never).await;
    previews.unwrap().remove(0).pods
}

/// Four pods that ask for a CPU each on the four CPUs of w1, under a budget that can be without one, and no room elsewhere.
async fn full() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1"));
    api.add(deployment("web/web").replicas(4).requesting("1", "1Gi")).add(budget("web/web").max_unavailable(1));
    sleep(seconds(5)).await;
    api.add(node("w2"));
    api.add(deployment("other/big").replicas(1).requesting("4", "1Gi"));
    sleep(seconds(5)).await;
    assert_eq!((on(&api, "w1").len(), on(&api, "w2").len()), (4, 1));
    api
}

#[tokio::test(start_paused = true)]
async fn pods_that_wait_for_room_on_full_nodes_are_warned_of_and_go_when_a_node_is_added() {
    let api = full().await;
    let found = verdicts(&api).await;
    assert!(found[1..].iter().all(|pod| matches!(pod.verdict, Verdict::Wait { .. })), "{found:?}");
    assert!(found.iter().all(|pod| pod.cautions == ["no other node takes it now (1 full)"]), "{found:?}");
    Drainer::new(api.client()).check("w1", &DrainOptions::default()).await.unwrap();
    api.edit::<Node>("w1", json!({"spec": {"unschedulable": true}}));
    let autoscaler = async {
        sleep(seconds(30)).await;
        api.add(node("w3"));
    };
    let options = DrainOptions::default();
    let ((drained, _), ()) = tokio::join!(drain_with(&api, &options), autoscaler);
    assert_eq!((drained.unwrap().moved.len(), on(&api, "w3").len()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn pods_that_no_other_node_is_for_are_never_once_their_budget_can_be_without_no_more() {
    let api = ApiServer::new();
    api.add(node("w1").labelled("disk", "ssd"));
    api.add(deployment("web/web").replicas(2).only_on("disk", "ssd")).add(budget("web/web").max_unavailable(1));
    sleep(seconds(5)).await;
    api.add(node("w2"));
    let found = verdicts(&api).await;
    assert_eq!(found[0].verdict, Verdict::Now);
    let Verdict::Never { because, .. } = &found[1].verdict else { panic!("{found:?}") };
    assert_eq!(because, "budget web/web waits for a successor, and no other node takes it (1 not selected)");
}

/// A pod that tolerates everything and is selected to w1.
async fn tolerating(selected: bool) -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1").labelled("disk", "ssd"));
    let everywhere = deployment("web/agent").replicas(1).tolerating_everything();
    api.add(if selected { everywhere.only_on("disk", "ssd") } else { everywhere });
    sleep(seconds(5)).await;
    api.add(node("w2"));
    api
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_tolerates_the_cordon_and_has_no_other_place_is_never_before_the_cordon() {
    let api = tolerating(true).await;
    let error = Drainer::new(api.client()).check("w1", &DrainOptions::default()).await.unwrap_err();
    let DrainError::Never { pods, .. } = &error else { panic!("{error:?}") };
    let Verdict::Never { because, unblock, .. } = &pods[0].verdict else { panic!() };
    assert_eq!(because, "comes back to w1: it tolerates the cordon, and no other node takes it");
    assert!(unblock.starts_with("--skip-pods app=agent leaves it alone"), "{unblock}");

    let elsewhere = tolerating(false).await;
    let found = verdicts(&elsewhere).await;
    assert_eq!(found[0].verdict, Verdict::Now);
    assert_eq!(found[0].cautions[0], "may come back to w1: it tolerates the cordon");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_only_full_nodes_would_take_besides_comes_back_as_well() {
    let api = tolerating(false).await;
    api.add(deployment("other/big").replicas(1).requesting("4", "1Gi"));
    sleep(seconds(5)).await;
    api.edit::<Node>("w2", json!({"status": {"allocatable": {"pods": "0"}}}));
    let found = verdicts(&api).await;
    let agent = found.iter().find(|pod| pod.pod.namespace == "web").unwrap();
    assert!(
        matches!(&agent.verdict, Verdict::Never { because, .. } if because.starts_with("comes back to w1")),
        "{agent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_back_again_and_again_is_named_with_the_count_and_ends_the_drain() {
    let api = tolerating(true).await;
    api.edit::<Node>("w1", json!({"spec": {"unschedulable": true}}));
    api.forget_requests();
    let begun = Instant::now();
    let error = drain_with(&api, &within(10 * MINUTE)).await.0.unwrap_err();
    assert!(matches!(error, DrainError::Failed { .. }), "{error:?}");
    let [line] = &left(&error)[..] else { panic!("{error:?}") };
    assert!(line.ends_with(": comes back to the node: it tolerates its cordon (3 times)"), "{line}");
    assert_eq!((evictions(&api).len(), error.remains().moved.len()), (3, 3));
    assert!(begun.elapsed() < MINUTE, "{:?}", begun.elapsed());
}
