//! A roll through several machines, and the rest of the cluster meanwhile.

use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use usher_coordinator::exit::Exit;
use usher_testkit::{
    apiserver::fixtures::node,
    rig::site::{TestSite, Then, WORKERS, reboot},
};

/// Another Node, which nothing of the roll touches.
fn lose(site: &TestSite, name: &str) {
    let condition = json!({"type": "Ready", "status": "False", "reason": "KubeletNotReady"});
    site.api.edit::<Node>(name, json!({"status": {"conditions": [condition]}}));
}

#[tokio::test(start_paused = true)]
async fn a_roll_stops_before_the_second_machine_when_another_node_was_lost_during_the_first() {
    let site = TestSite::start().await;
    // Nothing may move there: no kubelet would start it.
    let other = |name| node(name).without_kubelet().tainted("dedicated", "NoSchedule");
    site.api.add(other("x1")).add(other("x2"));
    lose(&site, "x1");
    let ended = site.run_and(reboot(&WORKERS), |told| {
        if told == "w1: reboot" {
            lose(&site, "x2");
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!((ended.exit, ended.done.as_slice()), (Exit::Partly, &["w1".to_owned()][..]), "{ended:#?}");
    assert!(
        ended.summary.contains("2 other nodes are not Ready, and 1 was when this roll began, so w2 is not touched"),
        "{}",
        ended.summary
    );
    assert!(site.cordoned().is_empty() && site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn a_roll_looks_at_all_nodes_with_one_request_before_each_machine() {
    let site = TestSite::start().await;
    let ended = site.run(reboot(&WORKERS)).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let looks = site.api.requests().into_iter().filter(|call| call.query.contains("includeObject=None")).count();
    assert_eq!(looks, 2);
}
