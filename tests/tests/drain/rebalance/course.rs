//! How a rebalance goes on, and what ends it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use tokio::time::sleep;
use usher_coordinator::{
    drain::DrainOptions,
    rebalance::{End, RebalanceError, Turn},
};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{deployment, node, pod, stateful_set},
};

use super::{W1, after_a_reboot, among, pods, rebalanced, run, services, turn};
use crate::cluster::{evictions, on, seconds};

#[tokio::test(start_paused = true)]
async fn successors_that_go_elsewhere_twice_end_it() {
    let api = after_a_reboot(services()).await;
    // The scheduler prefers a node that nobody named.
    api.add(node("w0")).add(pod("shop/own-1").on(W1)).add(pod("shop/own-2").on(W1));
    let ran = rebalanced(&api).await;
    assert_eq!(ran.end(), &End::WentElsewhere);
    assert_eq!(ran.moved.iter().map(|moved| (moved.to.as_str(), moved.wanted)).collect::<Vec<_>>(), [("w0", false); 2]);
    let owners: Vec<_> = ran.moved.iter().map(|moved| moved.pod.name.rsplit_once('-').unwrap().0.to_owned()).collect();
    assert_ne!(owners[0], owners[1], "a workload whose pod went elsewhere is not tried again");
    assert_eq!(evictions(&api).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_successor_on_another_node_that_gets_pods_went_well() {
    let api = after_a_reboot(services()).await;
    api.add(node("w0"));
    let both = among(&["w0", W1]);
    let ran = run(&api, &DrainOptions::default(), &turn(&both)).await;
    assert_eq!(ran.end(), &End::HasItsShare);
    assert!(ran.moved.iter().all(|moved| moved.wanted), "{:?}", ran.moved);
    assert!(on(&api, "w0").len() >= 4 && on(&api, W1).len() >= 4, "{:?}", pods(&api));
}

#[tokio::test(start_paused = true)]
async fn as_many_pods_are_under_way_as_was_asked_for_but_never_two_of_one_workload() {
    let most_going = |api: &ApiServer| {
        let going: Vec<_> =
            api.list::<Pod>().into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()).collect();
        let mut apps: Vec<_> = going.iter().map(|pod| pod.metadata.labels.as_ref().unwrap()["app"].clone()).collect();
        apps.sort();
        apps.dedup();
        (going.len(), apps.len())
    };
    for (at_a_time, workloads, most) in [(1, 10, 1), (3, 10, 3), (3, 1, 1)] {
        let each = 20 / workloads;
        let slow = |number| {
            deployment(&format!("shop/web-{number}")).replicas(each).pods_stop_after(Duration::from_millis(900))
        };
        let api = after_a_reboot((0..workloads).map(slow)).await;
        let (watched, mut seen) = (api.clone(), 0);
        let among = among(&[W1]);
        let options = DrainOptions::default();
        let turn = Turn { at_a_time, ..turn(&among) };
        let running = run(&api, &options, &turn);
        let mut running = std::pin::pin!(running);
        let ran = loop {
            tokio::select! {
                ran = &mut running => break ran,
                () = sleep(Duration::from_millis(50)) => {
                    let (going, apps) = most_going(&watched);
                    assert_eq!(going, apps, "two pods of one workload");
                    seen = seen.max(going);
                }
            }
        };
        assert_eq!((ran.end(), ran.moved.len(), seen), (&End::HasItsShare, 6, most), "{at_a_time} {workloads}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_pods_move_than_the_operator_allows() {
    let api = after_a_reboot(services()).await;
    let among = among(&[W1]);
    let ran = run(&api, &DrainOptions::default(), &Turn { max_moves: Some(2), at_a_time: 3, ..turn(&among) }).await;
    assert_eq!((ran.end(), ran.moved.len(), evictions(&api).len()), (&End::MostMoves, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_is_not_ready_in_time_stops_it() {
    let api = after_a_reboot(services()).await;
    api.kubelet(W1, |kubelet| kubelet.pods_start_in = Duration::from_secs(3600));
    let ran = rebalanced(&api).await;
    let Err(error @ RebalanceError::NotReady { node, .. }) = &ran.result else { panic!("{:?}", ran.result) };
    assert_eq!(node.as_deref(), Some(W1));
    assert!(error.to_string().contains("is not ready 1m30s after its eviction"), "{error}");
    assert_eq!(evictions(&api).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_a_stateful_set_comes_under_its_own_name_and_after_the_others() {
    let api = after_a_reboot([stateful_set("shop/db").replicas(6), deployment("shop/web").replicas(4)]).await;
    let ran = rebalanced(&api).await;
    assert_eq!(ran.end(), &End::HasItsShare, "{:?}", ran.moved);
    let names: Vec<_> = ran.moved.iter().map(|moved| moved.pod.name.as_str()).collect();
    let first_of_db = names.iter().position(|name| name.starts_with("db-"));
    assert!(names[0].starts_with("web-"), "{names:?}");
    if let Some(at) = first_of_db {
        assert!(names[at..].iter().all(|name| name.starts_with("db-")), "{names:?}");
    }
    let only_db = run(
        &after_a_reboot([stateful_set("shop/db").replicas(6)]).await,
        &DrainOptions::default(),
        &turn(&among(&[W1])),
    )
    .await;
    assert_eq!((only_db.end(), only_db.moved.len()), (&End::HasItsShare, 2));
    assert!(only_db.moved.iter().all(|moved| moved.pod.name == moved.successor), "{:?}", only_db.moved);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_makes_no_successor_is_left_alone() {
    let api = after_a_reboot([deployment("shop/web").replicas(9)]).await;
    let other = api.clone();
    let scale = async move {
        while evictions(&other).is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        other.edit::<k8s_openapi::api::apps::v1::Deployment>("shop/web", json!({"spec": {"replicas": 4}}));
        let sets = other.list::<k8s_openapi::api::apps::v1::ReplicaSet>();
        let set = sets[0].metadata.name.clone().unwrap();
        other.edit::<k8s_openapi::api::apps::v1::ReplicaSet>(&format!("shop/{set}"), json!({"spec": {"replicas": 4}}));
    };
    let (ran, ()) = tokio::join!(rebalanced(&api), scale);
    assert_eq!((ran.end(), ran.moved.len()), (&End::NothingHelps, 0));
    assert_eq!(ran.warned.len(), 1, "{:?}", ran.warned);
    assert!(ran.warned[0].ends_with("has gone and its controller made no successor"), "{:?}", ran.warned);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cordoned_meanwhile_gets_no_more_pods() {
    let api = after_a_reboot(services()).await;
    let other = api.clone();
    let cordon = async move {
        while on(&other, W1).is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        other.edit::<Node>(W1, json!({"spec": {"unschedulable": true}}));
    };
    let (ran, ()) = tokio::join!(rebalanced(&api), cordon);
    // The scheduler puts two elsewhere, and that ends it.
    assert_eq!(ran.end(), &End::WentElsewhere);
    assert_eq!(evictions(&api).len(), 3);
}

/// A controller takes the taint of a cordon away a moment after the cordon, and the scheduler goes by it until then.
#[tokio::test(start_paused = true)]
async fn a_node_that_was_uncordoned_just_now_is_waited_for() {
    let api = after_a_reboot(services()).await;
    api.edit::<Node>(W1, json!({"spec": {"unschedulable": true}}));
    sleep(seconds(1)).await;
    api.edit::<Node>(W1, json!({"spec": {"unschedulable": null}}));
    let ran = rebalanced(&api).await;
    assert_eq!((ran.end(), ran.moved.len()), (&End::HasItsShare, 6), "{:?}", ran.waited);
    assert_eq!(ran.waited[0], "w1 still carries the taint of its cordon");
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_that_restarts_meanwhile_is_waited_for() {
    let api = after_a_reboot(services()).await;
    let other = api.clone();
    let restart = async move {
        while on(&other, W1).is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        other.outage(seconds(20));
    };
    let (ran, ()) = tokio::join!(rebalanced(&api), restart);
    assert_eq!((ran.end(), ran.moved.len()), (&End::HasItsShare, 6), "{:?}", ran.warned);
}
