//! Leaders under watch, where something is about to change.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::{
    cluster::{Elections, LeaseName, NoLeader},
    facts::leader::{Known, Leadership},
};
use usher_testkit::apiserver::{ApiServer, Election, Fault, fixtures::lease};

use super::{cluster, seconds};

const SCHEDULER: &str = "kube-system/kube-scheduler";
const MANAGER: &str = "kube-system/kube-controller-manager";

fn name(lease: &str) -> LeaseName {
    let (namespace, name) = lease.split_once('/').unwrap();
    LeaseName { namespace: namespace.into(), name: name.into() }
}

fn watched(api: &ApiServer, leases: &[&str]) -> Elections {
    let machines = ["cp1", "cp2"].map(|name| Known { machine: name.into(), names: vec![name.into()] });
    Elections::watch(cluster(api), leases.iter().map(|lease| name(lease)).collect(), machines.to_vec())
}

/// Lets a holder renew a lease of OpenShift's length (137 s) each 26 s, `late` by this much.
fn renew_rarely(api: &ApiServer, name: &'static str, late: Duration) {
    api.add(lease(name).held_by("cp1").lasts(seconds(137)));
    let api = api.clone();
    tokio::spawn(async move {
        sleep(late).await;
        loop {
            api.edit::<Lease>(name, json!({"spec": {"renewTime": format!("{:.6}", api.clock().now())}}));
            sleep(seconds(26)).await;
        }
    });
}

#[tokio::test(start_paused = true)]
async fn leaders_that_renew_rarely_are_known_at_once_after_their_first_renewal() {
    let api = ApiServer::bare();
    renew_rarely(&api, SCHEDULER, seconds(13));
    renew_rarely(&api, MANAGER, seconds(26));
    let elections = watched(&api, &[SCHEDULER, MANAGER]);
    for at_most in [seconds(27), seconds(1), seconds(1)] {
        let begun = Instant::now();
        let leaders = elections.leaderships().await.unwrap();
        assert!(leaders.values().all(|leader| leader.machine() == Some("cp1")), "{leaders:?}");
        assert!(begun.elapsed() <= at_most, "{:?}", begun.elapsed());
        sleep(seconds(19)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_hears_whose_renewal_keeps_a_command_from_beginning() {
    let api = ApiServer::bare();
    let election = Election::releasing(&api, MANAGER);
    let _leads = election.start("cp2");
    api.add(lease(SCHEDULER).held_by("cp1_x"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let cluster = cluster(&api).with_notices(move |line| hears.lock().unwrap().push(line.to_owned()));
    let machines = vec![Known { machine: "cp1".into(), names: vec!["cp1".into()] }];
    let elections = Elections::watch(cluster, vec![name(SCHEDULER), name(MANAGER)], machines);
    let begun = Instant::now();
    let leaders = elections.leaderships().await.unwrap();
    assert!((seconds(15)..seconds(17)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(matches!(leaders[&name(SCHEDULER)], Leadership::Stale(_)), "{leaders:?}");
    assert_eq!(
        *told.lock().unwrap(),
        [
            "waiting for cp1_x to renew the lease kube-system/kube-scheduler: not within 3.0s so far, taken to be dead in 12s"
        ]
    );
}

/// How often leases were asked for since the requests were forgotten: by a read, and by a watch.
fn asked(api: &ApiServer) -> (usize, usize) {
    let requests = api.requests();
    let (watches, reads): (Vec<_>, Vec<_>) =
        requests.iter().filter(|call| call.path.contains("/leases")).partition(|call| call.query.contains("watch="));
    (reads.len(), watches.len())
}

#[tokio::test(start_paused = true)]
async fn leaders_are_watched_and_not_read_twice_a_second() {
    let api = ApiServer::bare();
    let elections = [SCHEDULER, MANAGER].map(|name| Election::releasing(&api, name));
    let _leads: Vec<_> = elections.iter().map(|election| election.start("cp1")).collect();
    let watched = watched(&api, &[SCHEDULER, MANAGER]);
    watched.leaderships().await.unwrap();
    api.forget_requests();
    sleep(seconds(600)).await;
    let (reads, watches) = asked(&api);
    // Each watch lasts 20 to 25 s and is followed by one read.
    assert!((40..=70).contains(&watches) && reads <= 2 * watches, "{reads} reads, {watches} watches");
    for election in [SCHEDULER, MANAGER] {
        assert!(matches!(watched.leadership_so_far(&name(election)), Some(Leadership::Held(_))), "{election}");
    }
    drop(watched);
    tokio::task::yield_now().await;
    api.forget_requests();
    sleep(seconds(600)).await;
    assert_eq!(asked(&api), (0, 0), "nobody needs them any more");
}

#[tokio::test(start_paused = true)]
async fn leases_that_may_not_be_watched_are_read() {
    let api = ApiServer::bare();
    api.forbid("watch", "leases");
    let election = Election::releasing(&api, SCHEDULER);
    let _leads = election.start("cp1");
    let watched = watched(&api, &[SCHEDULER]);
    assert_eq!(watched.leadership(&name(SCHEDULER)).await.unwrap().machine(), Some("cp1"));
    api.forget_requests();
    sleep(seconds(60)).await;
    let (reads, watches) = asked(&api);
    assert!((100..=130).contains(&reads) && watches <= 1, "{reads} reads, {watches} watches");
    assert!(matches!(watched.leadership_so_far(&name(SCHEDULER)), Some(Leadership::Held(_))));
}

#[tokio::test(start_paused = true)]
async fn reads_that_hang_do_not_make_a_leader_dead_and_are_told_from_an_unled_lease() {
    let api = ApiServer::bare();
    let election = Election::releasing(&api, MANAGER);
    let leads = election.start("cp1");
    let watched = watched(&api, &[MANAGER]);
    watched.leaderships().await.unwrap();
    api.inject(Fault::on(Method::GET, "/leases").hang().always());
    // The watch is lost with its connection.
    api.set_reachable(false);
    sleep(seconds(1)).await;
    api.set_reachable(true);
    for _ in 0..60 {
        let so_far = watched.leadership_so_far(&name(MANAGER));
        assert!(!matches!(so_far, Some(Leadership::Stale(_))), "{so_far:?}");
        sleep(seconds(1)).await;
    }
    let unread = watched.await_leader(&name(MANAGER), Some("another"), seconds(20)).await.unwrap_err();
    assert!(matches!(unread, NoLeader::Unread(_)), "{unread:?}");
    assert!(unread.to_string().starts_with("whether somebody leads is not known: "), "{unread}");
    drop(leads);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_nobody_renews_is_unled_and_one_that_may_not_be_read_is_told_at_once() {
    let api = ApiServer::bare();
    api.add(lease(MANAGER).held_by("cp1_x"));
    let elections = watched(&api, &[MANAGER]);
    let unled = elections.await_leader(&name(MANAGER), None, seconds(20)).await.unwrap_err();
    assert_eq!(unled.to_string(), "no new holder renewed it within 20s");
    assert!(matches!(&unled, NoLeader::Unled { last: Some(last), .. } if last == "cp1_x"), "{unled:?}");
    api.forbid("get", "leases");
    api.forbid("watch", "leases");
    let elections = watched(&api, &[MANAGER]);
    let begun = Instant::now();
    let unread = elections.await_leader(&name(MANAGER), None, seconds(20)).await.unwrap_err();
    assert!(matches!(&unread, NoLeader::Unread(error) if error.is_forbidden()), "{unread:?}");
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
}
