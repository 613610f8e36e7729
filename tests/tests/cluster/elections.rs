//! Leaders under watch, where something is about to change.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::{
    cluster::{Elections, LeaseName},
    facts::leader::{Known, Leadership},
};
use usher_testkit::apiserver::{ApiServer, Election, fixtures::lease};

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
