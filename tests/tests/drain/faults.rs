//! Servers that are busy, away or gone, and what is deleted meanwhile.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{DrainError, DrainOptions};
use usher_testkit::apiserver::{
    ApiServer, Failure, Fault,
    fixtures::{namespace, pod},
};

use crate::cluster::{MINUTE, cluster, drain_with, drained, left, moved, names, on, owned, refused, seconds, within};

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_no_budget() {
    let api = cluster();
    api.add(owned("web/a"));
    let busy = api.inject(Fault::on(Method::POST, "/eviction").too_many_requests(1).times(3));
    let (result, told) = drain_with(&api, &DrainOptions::default()).await;
    result.unwrap();
    assert_eq!(busy.hits(), 3);
    assert!(told.iter().all(|progress| progress.blocked.is_empty()));
    let trouble = told.iter().find_map(|progress| progress.trouble.as_deref()).unwrap();
    assert_eq!(trouble, "Too many requests, please try again later.");
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_away_for_half_a_minute_is_waited_for() {
    let api = cluster();
    for name in ["web/a", "web/b", "web/c"] {
        api.add(owned(name).stops_after(seconds(3)));
    }
    api.inject(Fault::on(Method::POST, "/eviction").refuse());
    let cut = api.clone();
    tokio::spawn(async move {
        sleep(seconds(1)).await;
        cut.outage(seconds(30));
    });
    let (result, told) = drain_with(&api, &DrainOptions::default()).await;
    let drained = result.unwrap();
    assert_eq!(drained.moved.len(), 3);
    assert!(drained.took > seconds(30) && drained.took < seconds(40), "{:?}", drained.took);
    assert!(told.iter().any(|progress| progress.trouble.is_some()));
    assert_eq!(told.last().unwrap().trouble, None);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_away_at_the_beginning_is_waited_for_and_said() {
    let api = cluster();
    api.add(owned("web/a"));
    api.outage(seconds(5));
    let (result, told) = drain_with(&api, &DrainOptions::default()).await;
    result.unwrap();
    assert!(told[0].trouble.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_eviction_whose_answer_was_lost_is_not_held_against_the_pod() {
    let api = cluster();
    api.add(owned("web/a").stops_after(seconds(5))).add(owned("web/b"));
    api.inject(Fault::on(Method::POST, "/eviction").lose_answer().times(2));
    assert_eq!(moved(&drained(&api).await), ["web/a", "web/b"]);
}

fn twelve_that_go_one_a_second() -> ApiServer {
    let api = cluster();
    for number in 0..12 {
        api.add(owned(&format!("web/p{number}")).stops_after(seconds(number)));
    }
    api
}

#[tokio::test(start_paused = true)]
async fn watches_that_break_lose_nothing() {
    let api = twelve_that_go_one_a_second();
    let cut = api.clone();
    tokio::spawn(async move {
        for _ in 0..30 {
            sleep(Duration::from_millis(400)).await;
            cut.cut_watches();
            cut.compact();
        }
    });
    let drained = drained(&api).await;
    assert_eq!(drained.moved.len(), 12);
    assert!(drained.took < seconds(20), "{:?}", drained.took);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_every_watch_is_asked_for_one_a_second() {
    let api = twelve_that_go_one_a_second();
    let server = api.clone();
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(10)).await;
            server.end_watches();
        }
    });
    let drained = drained(&api).await;
    assert_eq!(drained.moved.len(), 12);
    assert!(drained.took < seconds(14), "{:?}", drained.took);
    let requests = api.requests();
    let watches = requests.iter().filter(|call| call.query.contains("watch=true")).count();
    assert!(watches <= 18, "{watches} watches");
}

#[tokio::test(start_paused = true)]
async fn watches_that_ended_early_go_on_at_once_when_all_evictions_have_been_answered() {
    let api = cluster();
    api.add(owned("web/a").stops_after(Duration::ZERO));
    api.inject(Fault::on(Method::POST, "/eviction").delay(seconds(10)));
    let (server, begun) = (api.clone(), Instant::now());
    tokio::spawn(async move {
        while begun.elapsed() < Duration::from_millis(9900) {
            sleep(Duration::from_millis(10)).await;
            server.end_watches();
        }
    });
    let drained = drained(&api).await;
    assert_eq!(drained.moved.len(), 1);
    assert!(drained.took < Duration::from_millis(10_050), "{:?}", drained.took);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_many_pages_is_read_again_when_its_token_expires() {
    let api = cluster();
    for number in 0..501 {
        api.add(owned(&format!("web/p{number}")));
    }
    let expired = api.inject(Fault::on(Method::GET, "continue=").status(410));
    let drained = drained(&api).await;
    assert_eq!((drained.moved.len(), expired.hits()), (501, 1));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_calls_in_flight() {
    let api = cluster();
    api.add(owned("web/a"));
    api.inject(Fault::on(Method::POST, "/eviction").hang().always());
    let started = Instant::now();
    let error = refused(&api, &within(seconds(7))).await;
    assert_eq!(started.elapsed(), seconds(7));
    assert_eq!(names(&error.remains().waiting), ["web/a"]);
    assert_eq!(left(&error), ["web/a: its eviction was not answered yet"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_list_pods_or_evict_is_told_at_once() {
    let api = cluster();
    api.add(owned("web/a"));
    let forbidden = Failure::new(403, "Forbidden", "pods is forbidden: User \"eve\" cannot list resource \"pods\"");
    api.inject(Fault::on(Method::GET, "/api/v1/pods").fail(forbidden));
    let error = refused(&api, &DrainOptions::default()).await;
    assert_eq!(
        error.to_string(),
        "cannot list the pods on w1: pods is forbidden: User \"eve\" cannot list resource \"pods\""
    );
    let forbidden = Failure::new(403, "Forbidden", "pods \"a\" is forbidden");
    api.inject(Fault::on(Method::POST, "/eviction").fail(forbidden).always());
    let error = refused(&api, &DrainOptions::default()).await;
    assert_eq!(error.to_string(), "w1 cannot be drained: 1 pod cannot be evicted");
    assert_eq!(left(&error), ["web/a: pods \"a\" is forbidden"]);
}

#[tokio::test(start_paused = true)]
async fn in_a_namespace_that_is_being_deleted_pods_are_waited_for() {
    let api = cluster();
    api.add(owned("old/going").terminating().grace(seconds(10)).stops_after(seconds(8)));
    api.add(owned("old/late"));
    api.add(namespace("old").terminating());
    let end = api.clone();
    tokio::spawn(async move {
        // Its controller comes to the other one.
        sleep(seconds(12)).await;
        end.remove::<Pod>("old/late");
    });
    let started = Instant::now();
    assert_eq!(moved(&drained(&api).await), ["old/going", "old/late"]);
    assert!(started.elapsed() < seconds(20), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_node_and_its_pods_that_are_deleted_meanwhile_end_the_drain() {
    let api = cluster();
    for name in ["web/a", "web/b"] {
        api.add(pod(name).on("w1").owned_by_job("batch").never_stops());
    }
    let remove = api.clone();
    tokio::spawn(async move {
        sleep(seconds(10)).await;
        remove.remove::<Node>("w1");
        // As the pod garbage collector does for a node that is no more.
        remove.remove::<Pod>("web/a").remove::<Pod>("web/b");
    });
    let drained = drained(&api).await;
    assert_eq!(drained.moved.len(), 2);
    assert!(drained.took < seconds(12), "{:?}", drained.took);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_evictions_fails_the_drain_and_does_not_pass_for_an_empty_node() {
    let api = cluster();
    api.add(owned("web/a"));
    api.inject(Fault::on(Method::POST, "/eviction").status(404).always());
    let error = refused(&api, &within(MINUTE)).await;
    assert!(matches!(error, DrainError::Failed { .. }), "{error:?}");
    assert!(left(&error)[0].starts_with("web/a: "), "{error:?}");
    assert_eq!(on(&api, "w1"), ["a"]);
}
