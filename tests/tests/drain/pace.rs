//! What a drain costs the API server: how many requests it makes, and when.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{DrainOptions, Drainer};
use usher_testkit::apiserver::{
    ApiServer, Fault,
    fixtures::{budget, deployment, node, pod},
};

use crate::cluster::{cluster, count, drain_with, drained, owned, seconds};

#[tokio::test(start_paused = true)]
async fn a_full_node_costs_one_list_one_watch_one_last_look_and_one_eviction_a_pod() {
    let api = cluster();
    for number in 0..110 {
        api.add(pod(&format!("web/p{number}")).on("w1").owned_by_job("batch").stops_after(seconds(number % 10)));
    }
    api.forget_requests();
    assert_eq!(drained(&api).await.moved.len(), 110);
    assert_eq!(api.writes().len(), 110);
    assert_eq!(api.requests().len() - api.writes().len(), 3, "{:?}", api.requests());
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_at_budgets_until_one_keeps_a_pod() {
    let api = cluster();
    api.add(pod("web/a").on("w1").owned_by_job("batch")).add(budget("web/web").max_unavailable(1));
    sleep(seconds(2)).await;
    api.forget_requests();
    drained(&api).await;
    assert_eq!(count(&api, "poddisruptionbudgets"), 0);
}

#[tokio::test(start_paused = true)]
async fn under_a_budget_of_one_each_pod_goes_as_soon_as_the_budget_lets_it() {
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    api.add(deployment("web/web").replicas(20)).add(budget("web/web").max_unavailable(1));
    sleep(seconds(5)).await;
    api.edit::<Node>("w1", json!({"spec": {"unschedulable": true}})).forget_requests();
    let drained = drained(&api).await;
    assert_eq!(drained.moved.len(), 10);
    // Ten refusals at first; later only where the count was made before an eviction that it does not show.
    let refusals = count(&api, "/eviction") - 10;
    assert!(refusals <= 20, "{refusals} refusals");
    assert!(drained.took < seconds(25), "{:?}", drained.took);
    assert_eq!(count(&api, "policy/v1/namespaces/web/poddisruptionbudgets"), 2 + drained.took.as_secs() as usize / 20);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_when_it_said_and_not_by_all_at_once() {
    let api = cluster();
    for number in 0..60 {
        api.add(pod(&format!("web/p{number}")).on("w1").owned_by_job("batch"));
    }
    let busy = api.inject(Fault::on(Method::POST, "/eviction").too_many_requests(7).times(10));
    let started = Instant::now();
    let drained = drained(&api).await;
    assert_eq!((drained.moved.len(), busy.hits()), (60, 10));
    assert!(started.elapsed() >= seconds(7) && started.elapsed() < seconds(20), "{:?}", started.elapsed());
    // Those in flight when it said so, and nobody else until the time had passed.
    assert_eq!(count(&api, "/eviction"), 70);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_evictions_are_in_flight() {
    let api = cluster();
    for number in 0..6 {
        api.add(owned(&format!("web/p{number}")));
    }
    api.inject(Fault::on(Method::POST, "/eviction").delay(seconds(1)).always());
    let options = DrainOptions { parallel: 2, ..DrainOptions::default() };
    let (result, _) = drain_with(&api, &options).await;
    let took = result.unwrap().took;
    assert!(took >= seconds(3) && took < seconds(6), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn many_nodes_share_one_bound() {
    let api = ApiServer::new();
    for number in 0..40 {
        api.add(node(&format!("n{number}")).cordoned());
        for pod_number in 0..10 {
            let name = format!("web/p{number}-{pod_number}");
            api.add(pod(&name).on(&format!("n{number}")).owned_by_job("batch"));
        }
    }
    api.inject(Fault::on(Method::POST, "/eviction").delay(Duration::from_millis(100)).always());
    let drainer = Drainer::new(api.client());
    let options = DrainOptions::default();
    let started = Instant::now();
    let drains = (0..40).map(|number| {
        let (drainer, options) = (&drainer, &options);
        async move { drainer.drain(&format!("n{number}"), options, &mut |_| {}).await.unwrap().moved.len() }
    });
    assert_eq!(join_all(drains).await.iter().sum::<usize>(), 400);
    // 400 evictions of 0.1 s, never more than 64 at a time.
    assert!(started.elapsed() >= Duration::from_millis(620), "{:?}", started.elapsed());
    assert!(started.elapsed() < seconds(10), "{:?}", started.elapsed());
    assert_eq!(api.list::<Pod>().len(), 0);
}
