//! Servers that are busy, away or gone, and what is deleted meanwhile.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::time::{Instant, sleep};
use usher_coordinator::drain::{DrainError, DrainOptions, Drainer};
use usher_testkit::apiserver::{
    ApiServer, Failure, Fault,
    fixtures::{daemon_set, namespace, pod},
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

/// The pod of a DaemonSet may come late, and the API be away for longer than a look may take.
#[tokio::test(start_paused = true)]
async fn whether_a_daemon_set_exists_is_asked_until_the_api_is_back() {
    let api = cluster();
    api.add(owned("web/slow").stops_after(seconds(10)));
    api.add(daemon_set("kube-system/late"));
    let away = api.inject(Fault::on(Method::GET, "daemonsets/late").status(503).times(100));
    let drained = drained(&api).await;
    assert_eq!(moved(&drained), ["web/slow"]);
    assert!(away.hits() == 100 && drained.took > seconds(90), "{} {:?}", away.hits(), drained.took);
    assert_eq!(drained.stayed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_waits_for_the_api_ends_by_its_deadline_and_stops_when_it_is_told_to() {
    for stopped_after in [None, Some(seconds(20))] {
        let api = cluster();
        api.add(owned("web/a")).add(daemon_set("kube-system/late"));
        api.inject(Fault::on(Method::GET, "daemonsets/late").hang().always());
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let drainer = Drainer::new(api.client()).with_stop(stopped);
        let (options, begun) = (within(MINUTE), Instant::now());
        let drain = async { drainer.drain("w1", &options, &mut |_| {}).await };
        let (ended, ()) = tokio::join!(drain, async {
            if let Some(after) = stopped_after {
                sleep(after).await;
                stop.send_replace(true);
            }
        });
        let took = begun.elapsed();
        match stopped_after {
            None => assert!(matches!(ended, Err(DrainError::TimedOut { .. })) && took == MINUTE, "{took:?} {ended:?}"),
            Some(after) => {
                assert!(
                    matches!(ended, Err(DrainError::Stopped { .. })) && took < after + seconds(6),
                    "{took:?} {ended:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_told_to_stop_sends_nothing_of_what_still_waited_for_its_turn() {
    let api = cluster();
    for number in 0..40 {
        api.add(owned(&format!("web/p{number}")));
    }
    // While the first answers are under way, the others wait for the pace.
    api.inject(Fault::on(Method::POST, "/eviction").delay(seconds(2)).always());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let drainer = Drainer::new(api.client()).with_stop(stopped);
    let options = within(MINUTE);
    let drain = async { drainer.drain("w1", &options, &mut |_| {}).await };
    let asked = || api.requests().iter().filter(|call| call.path.ends_with("/eviction")).count();
    let (ended, before) = tokio::join!(drain, async {
        sleep(seconds(1)).await;
        stop.send_replace(true);
        asked()
    });
    assert!(matches!(ended, Err(DrainError::Stopped { .. })), "{ended:?}");
    sleep(seconds(10)).await;
    assert_eq!((before, asked()), (16, 16));
}

/// A drain asks for each pod once a moment at most, whatever the answer, and does not outlast its deadline.
#[tokio::test(start_paused = true)]
async fn whatever_the_server_answers_a_drain_ends_by_its_deadline_and_reports_what_went() {
    let forbidden = || Failure::new(403, "Forbidden", "pods is forbidden");
    let denied = || Failure::new(400, "BadRequest", "admission webhook \"keep\" denied the request: no");
    let evictions = || Fault::on(Method::POST, "/eviction");
    for (what, fault) in [
        ("busy", evictions().too_many_requests(1)),
        ("hangs", evictions().hang()),
        ("refuses", evictions().refuse()),
        ("loses its answer", evictions().lose_answer()),
        ("forbids", evictions().fail(forbidden())),
        ("denies", evictions().fail(denied())),
        ("500", evictions().status(500)),
        ("409", evictions().status(409)),
        ("terminating", evictions().namespace_terminating("web")),
        ("late", evictions().delay(seconds(9))),
    ] {
        for times in [1, 3, usize::MAX] {
            let api = cluster();
            for name in ["web/a", "web/b", "web/c"] {
                api.add(owned(name).stops_after(seconds(2)));
            }
            api.inject(fault.clone().times(times));
            let begun = Instant::now();
            let (result, _) = drain_with(&api, &within(MINUTE)).await;
            assert!(begun.elapsed() <= MINUTE, "{what} {times}: {:?}", begun.elapsed());
            let left: Vec<_> = on_w1(&api);
            let went = match &result {
                Ok(drained) => moved(drained),
                Err(error) => names(error.remains().moved.iter().map(|moved| &moved.pod)),
            };
            let all = ["web/a", "web/b", "web/c"];
            let expected: Vec<_> = all.into_iter().filter(|name| !left.contains(&(*name).to_owned())).collect();
            assert_eq!(went, expected, "{what} {times}: {result:?}");
            assert_eq!(result.is_ok(), left.is_empty(), "{what} {times}: {result:?}");
        }
    }
}

fn on_w1(api: &ApiServer) -> Vec<String> {
    on(api, "w1").into_iter().map(|name| format!("web/{name}")).collect()
}
