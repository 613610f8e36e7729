//! Drains against the in-memory API server, in paused time: what is evicted, what is waited for, what is said.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what a test's own functions cannot do fails the test")]

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{
    self, BudgetPreview, DrainError, DrainOptions, DrainProgress, Drained, PodRef, StayReason, whereabouts,
};
use usher_testkit::apiserver::{
    ApiServer, Failure, Fault,
    fixtures::{budget, daemon_set, deployment, namespace, node, pod, stateful_set},
};

const MINUTE: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two nodes, w1 cordoned.
fn cluster() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1").cordoned()).add(node("w2"));
    api
}

async fn drain_with(api: &ApiServer, options: &DrainOptions) -> (Result<Drained, DrainError>, Vec<DrainProgress>) {
    let mut told = Vec::new();
    let result = drain::run(&api.client(), "w1", options, &mut |progress| told.push(progress)).await;
    (result, told)
}

async fn drained(api: &ApiServer) -> Drained {
    drain_with(api, &DrainOptions::default()).await.0.unwrap()
}

async fn refused(api: &ApiServer, options: &DrainOptions) -> DrainError {
    drain_with(api, options).await.0.unwrap_err()
}

fn within(timeout: Duration) -> DrainOptions {
    DrainOptions { timeout, ..DrainOptions::default() }
}

fn names<'p>(pods: impl IntoIterator<Item = &'p PodRef>) -> Vec<String> {
    let mut names: Vec<_> = pods.into_iter().map(ToString::to_string).collect();
    names.sort();
    names
}

fn moved(drained: &Drained) -> Vec<String> {
    names(drained.moved.iter().map(|moved| &moved.pod))
}

fn on(api: &ApiServer, node: &str) -> Vec<String> {
    let there = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    api.list::<Pod>().iter().filter(|pod| there(pod)).map(ResourceExt::name_any).collect()
}

fn evictions(api: &ApiServer) -> Vec<Value> {
    let calls = api.requests();
    let evictions = calls.iter().filter(|call| call.path.ends_with("/eviction"));
    evictions.map(|call| serde_json::from_str(&call.body).unwrap()).collect()
}

fn owned(name: &str) -> usher_testkit::apiserver::fixtures::PodFixture {
    pod(name).on("w1").owned_by_job("batch")
}

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
async fn pods_of_daemon_sets_and_mirror_pods_stay() {
    let api = cluster();
    api.add(daemon_set("kube-system/proxy")).add(pod("kube-system/static").on("w1").mirror());
    api.add(owned("web/a"));
    sleep(seconds(5)).await;
    api.forget_requests();
    let drained = drained(&api).await;
    assert_eq!(moved(&drained), ["web/a"]);
    let stayed: Vec<_> = drained.stayed.iter().map(|stays| stays.reason).collect();
    assert_eq!(stayed, [StayReason::DaemonSet, StayReason::Mirror]);
    assert_eq!(drained.warnings.len(), 1);
    assert!(drained.warnings[0].starts_with("ignoring DaemonSet-managed Pods: kube-system/proxy-"), "{drained:?}");
    assert_eq!(api.writes(), ["POST /api/v1/namespaces/web/pods/a/eviction"]);
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
async fn if_one_pod_forbids_it_none_is_touched() {
    let api = cluster();
    api.add(owned("web/fine")).add(pod("tools/shell").on("w1")).add(owned("web/cache").with_empty_dir());
    api.add(pod("web/orphan").on("w1").owned_by_daemon_set("gone"));
    let error = refused(&api, &DrainOptions::default()).await;
    assert_eq!(
        error.to_string(),
        "3 pods on w1 forbid a drain\n\
         cannot delete Pods that declare no controller (use --force to override): tools/shell\n\
         cannot delete Pods with local storage (use --delete-emptydir-data to override): web/cache\n\
         cannot delete daemonsets.apps \"gone\" not found: web/orphan"
    );
    assert!(error.nothing_was_evicted());
    assert_eq!(api.writes(), [""; 0]);

    let options = DrainOptions { force: true, delete_empty_dir_data: true, ..DrainOptions::default() };
    let drained = drain_with(&api, &options).await.0.unwrap();
    assert_eq!(moved(&drained), ["tools/shell", "web/cache", "web/fine", "web/orphan"]);
    assert_eq!(drained.warnings, ["deleting Pods that declare no controller: tools/shell"]);
}

#[tokio::test(start_paused = true)]
async fn finished_pods_go_whatever_they_are() {
    let api = cluster();
    api.add(pod("web/bare").on("w1").succeeded()).add(pod("web/scratch").on("w1").with_empty_dir().failed());
    api.add(pod("web/daemon").on("w1").owned_by_daemon_set("gone").succeeded());
    assert_eq!(moved(&drained(&api).await), ["web/bare", "web/daemon", "web/scratch"]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_never_allows_is_named_within_seconds_and_ends_at_the_deadline() {
    let api = cluster();
    api.add(pod("db/pg-0").on("w1").owned_by_stateful_set("pg")).add(budget("db/pg").min_available(1));
    api.add(owned("web/a"));
    let started = Instant::now();
    let mut named_after = None;
    let result = drain::run(&api.client(), "w1", &within(MINUTE), &mut |progress| {
        if !progress.blocked.is_empty() {
            named_after.get_or_insert(started.elapsed());
        }
    })
    .await;
    let error = result.unwrap_err();
    assert!(named_after.unwrap() < seconds(2), "{named_after:?}");
    assert_eq!(started.elapsed(), MINUTE);
    assert_eq!(
        error.to_string(),
        "w1 is not drained after 1m0s: db/pg-0: The disruption budget pg needs 1 healthy pods and has 1 currently"
    );
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
    api.edit::<k8s_openapi::api::policy::v1::PodDisruptionBudget>(
        "web/web",
        json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}),
    );
    let (_, told) = drain_with(&api, &within(seconds(25))).await;
    let blocked = told.iter().find_map(|progress| progress.blocked.first()).unwrap();
    assert_eq!(blocked.message, "The disruption budget web is still being processed by the server.");
    assert_eq!(evictions(&api).len(), 3);
}

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
async fn a_pod_with_two_budgets_fails_alone_and_the_others_finish() {
    let api = cluster();
    api.add(owned("web/a").labelled("app", "web").labelled("tier", "front"));
    api.add(budget("web/web").max_unavailable(1)).add(budget("web/tier").selecting("tier", "front").max_unavailable(1));
    api.add(owned("web/slow").stops_after(seconds(20)));
    let started = Instant::now();
    let error = refused(&api, &DrainOptions::default()).await;
    let DrainError::Failed { remains, .. } = &error else { panic!("{error:?}") };
    assert_eq!(names(remains.moved.iter().map(|moved| &moved.pod)), ["web/slow"]);
    assert_eq!(
        error.to_string(),
        "w1 cannot be drained: web/a: This pod has more than one PodDisruptionBudget, which the eviction subresource does \
         not support."
    );
    assert!(started.elapsed() < MINUTE);
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
async fn the_deadline_ends_calls_in_flight() {
    let api = cluster();
    api.add(owned("web/a"));
    api.inject(Fault::on(Method::POST, "/eviction").hang().always());
    let started = Instant::now();
    let error = refused(&api, &within(seconds(7))).await;
    assert_eq!(started.elapsed(), seconds(7));
    assert_eq!(names(&error.remains().waiting), ["web/a"]);
    assert_eq!(error.to_string(), "w1 is not drained after 7.0s: web/a could not be evicted yet");
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

#[tokio::test(start_paused = true)]
async fn watches_that_break_lose_nothing() {
    let api = cluster();
    for number in 0..12 {
        api.add(owned(&format!("web/p{number}")).stops_after(seconds(number)));
    }
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

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_end_is_named_at_the_deadline() {
    let api = cluster();
    api.add(owned("web/stuck").never_stops());
    let error = refused(&api, &within(MINUTE)).await;
    assert_eq!(error.to_string(), "w1 is not drained after 1m0s: web/stuck was told to go and has not ended");
    assert!(!error.nothing_was_evicted());
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
    assert_eq!(error.to_string(), "w1 cannot be drained: web/a: pods \"a\" is forbidden");
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
async fn an_empty_node_is_drained_at_once() {
    let api = cluster();
    let drained = drained(&api).await;
    assert_eq!((drained.moved.len(), api.writes().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn only_the_pods_with_the_selectors_labels_are_drained() {
    let api = cluster();
    api.add(owned("web/a").labelled("tier", "front")).add(pod("web/bare").on("w1"));
    let options = DrainOptions { pod_selector: Some("tier=front".into()), ..DrainOptions::default() };
    let (result, _) = drain_with(&api, &options).await;
    assert_eq!(moved(&result.unwrap()), ["web/a"]);
    assert_eq!(on(&api, "w1"), ["bare"]);
}

#[tokio::test(start_paused = true)]
async fn a_preview_counts_without_touching_anything() {
    let api = cluster();
    api.add(daemon_set("kube-system/proxy"));
    for number in 0..4 {
        api.add(pod(&format!("web/web-{number}")).on("w1").owned_by_replica_set("web"));
    }
    api.add(budget("web/web").max_unavailable(1)).add(owned("web/job")).add(pod("tools/shell").on("w1"));
    sleep(seconds(5)).await;
    api.forget_requests();
    let preview = drain::preview(&api.client(), "w1", &DrainOptions::default()).await.unwrap();
    assert_eq!(names(&preview.evict), ["web/job", "web/web-0", "web/web-1", "web/web-2", "web/web-3"]);
    assert_eq!((preview.stay.len(), preview.wait), (1, 3));
    assert_eq!(preview.refused[0].message, "Pods that declare no controller (use --force to override)");
    let [BudgetPreview { pods: 4, allowed: 1, healthy: 4, desired: 3, .. }] = &preview.budgets[..] else {
        panic!("{:?}", preview.budgets)
    };
    assert_eq!(api.writes(), [""; 0]);
}
