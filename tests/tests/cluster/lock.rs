//! The lock whose holder lives, is dead, or may be either.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tokio::time::Instant;
use usher_common::clock;
use usher_coordinator::cluster::{Cluster, LockError, LockRequest};
use usher_testkit::apiserver::{ApiServer, Fault, fixtures::lease};

use super::{cluster, seconds};

const LOCK: &str = "kube-system/usher";

fn request(operation: &str) -> LockRequest {
    LockRequest {
        operation: operation.into(),
        requester: "bob@bastion".into(),
        reason: "kernel".into(),
        task_id: None,
        epochs: BTreeMap::new(),
    }
}

/// A lock of alice's that was renewed this many seconds ago, by her clock and by the server's.
fn held(api: &ApiServer, stored_ago: u64, renewed_ago: i64) {
    let fixture = lease(LOCK).held_by("alice@bastion/4f7k2").transitions(7).lasts(seconds(60));
    api.add(fixture.renewed_ago(seconds(stored_ago)));
    let says = api.clock().now() - jiff::SignedDuration::from_secs(renewed_ago);
    api.edit::<Lease>(LOCK, json!({"spec": {"renewTime": format!("{says:.6}")}}));
}

/// The cluster, and what it tells the operator.
fn telling(api: &ApiServer) -> (Cluster, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    (cluster(api).with_notices(move |line| hears.lock().unwrap().push(line.to_owned())), told)
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_a_dead_holder_is_taken_over_as_soon_as_the_servers_clock_says_so() {
    let minutes = 60;
    for (what, stored_ago, renewed_ago, takes) in [
        ("dead for long", 5 * minutes, 300, Ok(0)),
        ("dead, its clock behind", 5 * minutes, 3600, Ok(0)),
        ("alive", 4, 4, Err("renewed 4.5s ago")),
        ("alive, its clock behind", 4, 3600, Err("renewed 4.5s ago")),
        ("alive, its clock ahead", 4, -3600, Err("renewed 4.5s ago")),
        ("silent for a while: usher waits for the rest of its time", 40, 40, Ok(24)),
        ("dead, its clock ahead: it is watched for the whole time", 5 * minutes, -3600, Ok(62)),
    ] {
        let api = ApiServer::bare();
        held(&api, stored_ago, renewed_ago);
        let begun = Instant::now();
        match (cluster(&api).acquire_lock(&request("op2")).await, takes) {
            (Ok(lock), Ok(at_most)) => {
                let took = begun.elapsed().as_secs();
                assert!((at_most.max(2) - 2..=at_most).contains(&took), "{what}: {took} s");
                assert_eq!(lock.epoch(), 8, "{what}");
            }
            (Err(LockError::Held(holder)), Err(words)) => {
                assert!(begun.elapsed() < seconds(3), "{what}");
                assert!(holder.to_string().contains(words), "{what}: {holder}");
            }
            (found, _) => panic!("{what}: {found:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_waits_for_a_lock_hears_for_whom_and_how_long() {
    let api = ApiServer::bare();
    held(&api, 40, 40);
    let (cluster, told) = telling(&api);
    cluster.acquire_lock(&request("op2")).await.unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        told[0],
        "waiting for the lock of alice@bastion (operation 4f7k2, \"\", renewed 40s ago): free in 21s at the latest, unless it is renewed"
    );
    assert!(told[1].starts_with("taking over the lock of alice@bastion (operation 4f7k2"), "{}", told[1]);
    assert!(told[1].ends_with("(dead)"), "{}", told[1]);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_after_all_is_not_robbed() {
    let api = ApiServer::bare();
    held(&api, 40, 40);
    let renews = {
        let api = api.clone();
        async move {
            tokio::time::sleep(seconds(10)).await;
            held(&api, 0, 0);
        }
    };
    let (cluster, wanted) = (cluster(&api), request("op2"));
    let ((), found) = futures::join!(renews, cluster.acquire_lock(&wanted));
    assert!(matches!(found, Err(LockError::Held(_))), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn status_shows_whether_the_holder_of_the_lock_is_dead() {
    for (ago, expected) in [
        (9, "alice@bastion (operation 4f7k2, \"\", renewed 9.5s ago)"),
        (120, "alice@bastion (operation 4f7k2, \"\", renewed 2m0s ago) (dead)"),
    ] {
        let api = ApiServer::bare();
        held(&api, ago, ago.try_into().unwrap());
        let holder = cluster(&api).lock_holder().await.unwrap().unwrap();
        assert_eq!(holder.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_leases_hears_it_at_once() {
    let api = super::server();
    let world = super::world(&api, super::site()).await;
    api.inject(Fault::on(Method::GET, "/leases/").status(403).always());
    let begun = Instant::now();
    let Err(LockError::Cluster(lock)) = world.cluster.acquire_lock(&request("op1")).await else { panic!() };
    let leaders = world.elections().await.leaderships().await.unwrap_err();
    assert!(lock.is_forbidden() && leaders.is_forbidden(), "{lock} {leaders}");
    assert!(begun.elapsed() < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_renewals_hang_is_no_longer_held_before_another_may_take_it() {
    let api = ApiServer::bare();
    let lock = cluster(&api).acquire_lock(&request("op1")).await.unwrap();
    api.inject(Fault::on(Method::PATCH, "/leases/usher").hang().always());
    tokio::time::sleep(seconds(44)).await;
    assert!(lock.is_held());
    tokio::time::sleep(seconds(2)).await;
    assert!(!lock.is_held());
    assert!(!cluster(&api).lock_holder().await.unwrap().unwrap().dead);
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_no_longer_held_when_the_machine_wakes_up_and_another_may_have_taken_it() {
    let api = ApiServer::bare();
    clock::has_slept(seconds(60));
    let lock = cluster(&api).acquire_lock(&request("op1")).await.unwrap();
    assert!(lock.is_held());
    clock::has_slept(seconds(60 + 46));
    assert!(!lock.is_held());
    assert!(lock.prove().await.unwrap() && lock.is_held(), "nobody has taken it");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_reports_an_epoch_that_no_lock_had_is_named_and_the_lock_is_left_alone() {
    let api = ApiServer::bare();
    api.add(lease(LOCK).transitions(7).lasts(seconds(60)));
    let with = |epochs: [(&str, u64); 2]| LockRequest {
        epochs: epochs.map(|(machine, epoch)| (machine.to_owned(), epoch)).into(),
        ..request("op2")
    };
    let refused = cluster(&api).acquire_lock(&with([("cp1", 7), ("w1", u64::MAX)])).await.unwrap_err();
    let LockError::Epoch(error) = &refused else { panic!("{refused}") };
    assert!(
        error.to_string().starts_with(&format!("the agent on w1 says that it has seen epoch {}", u64::MAX)),
        "{error}"
    );
    assert_eq!(api.get::<Lease>(LOCK).unwrap().spec.unwrap().lease_transitions, Some(7));
    let lock = cluster(&api).acquire_lock(&with([("cp1", 9), ("w1", 3)])).await.unwrap();
    assert_eq!(lock.epoch(), 10);
}
