//! `usher rebalance`, and `usher reboot --rebalance`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use usher_coordinator::exit::Exit;
use usher_testkit::{
    apiserver::fixtures::{deployment, node, pod},
    rig::site::{TestSite, Then, drain, rebalance, reboot, uncordon},
};

/// A site whose w1 is empty: it was drained, and may have pods again. Six services beside `shop/web` would not miss a pod.
async fn with_an_empty_node() -> TestSite {
    let site = TestSite::start().await;
    for number in 0..6 {
        site.api.add(deployment(&format!("shop/app-{number}")).replicas(2));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(site.run(drain(&["w1"])).await.exit, Exit::Done);
    assert_eq!(site.run(uncordon(&["w1"])).await.exit, Exit::Done);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((site.pods_on("w1"), site.pods_on("w2")), (0, 16));
    site.journal.forget();
    site
}

#[tokio::test(start_paused = true)]
async fn an_empty_node_gets_its_share_under_the_lock_and_nothing_is_cordoned() {
    let site = with_an_empty_node().await;
    let ended = site.run(rebalance(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let moves = site.pods_on("w1");
    assert_eq!((moves, site.pods_on("w2")), (7, 9));
    let mut expected = vec!["lease usher taken by usher"];
    expected.extend(vec!["w2: pod evicted"; moves]);
    expected.push("lease usher freed");
    assert_eq!(site.journal.lines(), expected);
    assert_eq!(ended.only(&["moved from w2 to w1: "]).len(), moves, "{:#?}", ended.told);
    assert_eq!(ended.only(&["it has its share"]).len(), 1, "{:#?}", ended.told);
    assert!(ended.summary.starts_with("w1 rebalanced in "), "{}", ended.summary);
    assert!(ended.text.contains("Pods that were moved: 7 to w1."), "{}", ended.text);
    assert!(site.cordoned().is_empty() && site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cordoned_is_refused() {
    let site = with_an_empty_node().await;
    site.api.edit::<Node>("w1", json!({"spec": {"unschedulable": true}}));
    let ended = site.run(rebalance(&["w1"])).await;
    assert_eq!((ended.exit, ended.summary.as_str()), (Exit::Refused, "w1 is cordoned and takes no pods"));
    assert!(site.journal.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_stops_between_two_moves_and_says_how_to_go_on() {
    let site = with_an_empty_node().await;
    let mut moves = 0;
    let ended = site.run_and(rebalance(&["w1"]), |told| {
        moves += usize::from(told.contains("moved from w2 to w1: "));
        if moves == 2 { Then::Interrupt } else { Then::GoOn }
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Interrupted, "{ended:#?}");
    assert_eq!(ended.details, ["2 pods moved until then; they run where they are"]);
    assert_eq!(ended.next, ["to go on: usher rebalance w1 -r test"]);
    assert!(site.journal.only(&["evicted"]).len() <= 3, "{:#?}", site.journal.lines());
    assert!(site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_never_runs_ends_it_and_says_what_to_look_at() {
    let site = with_an_empty_node().await;
    site.api.kubelet("w1", |kubelet| kubelet.pods_start_in = Duration::from_secs(24 * 3600));
    let ended = site.run(rebalance(&["w1"])).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert_eq!(site.journal.only(&["evicted"]).len(), 1);
    assert_eq!(ended.details, ["it is on w1", "0 pods moved until then; they run where they are"]);
    assert!(ended.next[0].starts_with("see what it waits for: kubectl -n shop describe pod app-"), "{:?}", ended.next);
}

#[tokio::test(start_paused = true)]
async fn after_a_reboot_the_report_shows_the_nodes_and_says_that_one_is_empty_and_how_to_fill_it() {
    let site = TestSite::start().await;
    let ended = site.run(reboot(&["w1"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let table: Vec<_> = ended.text.lines().skip(1).take(2).collect();
    assert!(table[0].starts_with("NODE   READY   SCHEDULABLE   KERNEL"), "{}", ended.text);
    let row: Vec<_> = table[1].split_whitespace().collect();
    assert_eq!(row, ["w1", "yes", "yes", "6.1.0-31-amd64", "1-bo…", "→", "2-bo…", "0"], "{}", ended.text);
    assert!(ended.text.contains("Pods of w1: 2 on w2.\nw1 is empty now: pods do not come back by themselves.\n"));
    assert_eq!(ended.next, ["to move some to it: usher rebalance w1 -r test"]);
}

#[tokio::test(start_paused = true)]
async fn of_several_machines_the_pods_are_told_where_they_are_in_the_end() {
    let site = TestSite::start().await;
    let ended = site.run(reboot(&["w1", "w2"])).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    // Those of w1 went to w2, and from there to w1.
    assert!(ended.text.contains("Pods of w1 and w2: 4 on w1.\nw2 is empty now: "), "{}", ended.text);
    assert_eq!(ended.next, ["to move some to it: usher rebalance w2 -r test"]);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_with_rebalance_moves_pods_back_when_all_machines_have_rebooted() {
    let site = TestSite::start().await;
    for number in 0..6 {
        site.api.add(deployment(&format!("shop/app-{number}")).replicas(2));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ended = site.run(reboot(&["w1", "w2"]).and_rebalance()).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    let lines = site.journal.lines();
    let last_uncordon = lines.iter().rposition(|line| line.ends_with("uncordoned")).unwrap();
    let after: Vec<_> = lines[last_uncordon + 1..].iter().map(String::as_str).collect();
    let mut expected = vec!["w1: pod evicted"; 7];
    expected.push("lease usher freed");
    assert_eq!(after, expected, "under the same lock");
    assert_eq!((site.pods_on("w1"), site.pods_on("w2")), (9, 7));
    assert!(ended.summary.contains(" Then w1 and w2 rebalanced in "), "{}", ended.summary);
    assert_eq!(ended.only(&["w1: rebalance: ", "w2: rebalance: "]).len(), 2 + 7, "{:#?}", ended.told);
    assert!(!ended.text.contains("empty now") && ended.next.is_empty(), "{}", ended.text);
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_that_fails_is_told_and_the_machine_has_rebooted_nevertheless() {
    let site = TestSite::start().await;
    for number in 0..6 {
        site.api.add(deployment(&format!("shop/app-{number}")).replicas(2));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ended = site.run_and(reboot(&["w1"]).and_rebalance(), |told| {
        if told == "w1: rebalance" {
            site.api.kubelet("w1", |kubelet| kubelet.pods_start_in = Duration::from_secs(24 * 3600));
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!((ended.exit, &*ended.done), (Exit::Partly, &["w1".to_owned()][..]), "{ended:#?}");
    assert!(ended.summary.starts_with("w1 rebooted in "), "{}", ended.summary);
    assert!(ended.summary.contains(" Then timed out: "), "{}", ended.summary);
    assert_eq!(ended.next.last().unwrap(), "to go on: usher rebalance w1 -r test");
    assert!(site.cordoned().is_empty() && site.lock_is_free());
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_fails_moves_nothing_back() {
    let site = TestSite::start().await;
    site.api.add(pod("shop/stuck").on("w2").owned_by_job("batch").never_stops());
    let change = reboot(&["w1", "w2"]).and_rebalance().drain_within(Duration::from_secs(60));
    let ended = site.run(change).await;
    assert_eq!(ended.exit, Exit::TimedOut, "{ended:#?}");
    assert!(ended.only(&["rebalance"]).is_empty(), "{:#?}", ended.told);
    assert_eq!(ended.next.last().unwrap(), "to go on: usher reboot w2 --rebalance --drain-timeout=1m -r test");
}

#[tokio::test(start_paused = true)]
async fn without_pods_that_could_move_back_a_reboot_is_done_all_the_same() {
    let site = TestSite::start().await;
    // Nobody else has pods in the end.
    site.api.add(node("w3"));
    let ended = site.run(reboot(&["w1"]).and_rebalance()).await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
}
