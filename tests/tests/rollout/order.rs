//! How many roll at a time, and when no more begin.

use serde_json::json;
use tokio::time::Instant;
use usher_coordinator::{
    interrupt::Interrupt,
    workloads::rollout::{Ended, Event, Settings, Stop},
};
use usher_testkit::apiserver::{ApiServer, Start, fixtures::deployment};

use crate::{carry_out_until, ended, pods, restart, restarts, seconds, server, settings, settle, starts};

/// Deployments a, b, c and d, whose old pods take 20 s to end and count until then.
async fn four() -> ApiServer {
    let api = server();
    for name in ["a", "b", "c", "d"] {
        api.add(deployment(&format!("shop/{name}")).progress_deadline(seconds(60)));
    }
    settle().await;
    api
}

/// The most that were under way at once, and the order in which they began.
fn under_way(told: &[Event]) -> (usize, Vec<&str>) {
    let (mut now, mut most, mut order) = (0_usize, 0, Vec::new());
    for event in told {
        match event {
            Event::Began { workload, .. } => {
                now += 1;
                order.push(workload.name.as_str());
            }
            Event::Ended { .. } => now -= 1,
            Event::Waiting { .. } => {}
        }
        most = most.max(now);
    }
    (most, order)
}

#[tokio::test(start_paused = true)]
async fn as_many_roll_at_a_time_as_was_asked_for_in_the_order_of_their_names() {
    for concurrency in [1, 2, 10] {
        let api = four().await;
        let (outcome, told) = restart(&api, Settings { concurrency, ..settings() }, "deployment").await;
        assert!(outcome.entries.iter().all(|entry| entry.ended == Ended::Complete), "{outcome:?}");
        assert_eq!(under_way(&told), (concurrency.min(4), vec!["a", "b", "c", "d"]), "{told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn they_begin_in_the_order_in_which_they_were_named() {
    let api = four().await;
    let line = "deployment/c deployment/a deployment/d";
    let (_, told) = restart(&api, Settings { concurrency: 1, ..settings() }, line).await;
    assert_eq!(under_way(&told).1, ["c", "a", "d"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_no_more_begin_unless_that_many_may_fail() {
    for (max_failures, expected) in [
        (0, [Ended::Complete, Ended::Failed, Ended::NotBegun, Ended::NotBegun]),
        (1, [Ended::Complete, Ended::Failed, Ended::Complete, Ended::Complete]),
    ] {
        let api = four().await;
        starts(&api, "b", Start::NoImage);
        let before = pods(&api, "c");
        let settings = Settings { concurrency: 1, max_failures, ..settings() };
        let (outcome, _) = restart(&api, settings, "deployment").await;
        assert_eq!(ended(&outcome).iter().map(|(_, ended)| *ended).collect::<Vec<_>>(), expected);
        assert_eq!(outcome.stop, (max_failures == 0).then_some(Stop::Failures));
        assert_eq!(pods(&api, "c") == before, max_failures == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn those_beside_one_that_fails_are_awaited() {
    let api = four().await;
    starts(&api, "a", Start::NoImage);
    for node in ["w1", "w2"] {
        // Slower than the deadline of a, which is half over then.
        api.kubelet(node, |kubelet| kubelet.pods_start_in = seconds(40));
    }
    let (outcome, _) = restart(&api, Settings { concurrency: 2, ..settings() }, "deployment").await;
    let expected = [("a", Ended::Failed), ("b", Ended::Complete), ("c", Ended::Complete)];
    assert_eq!(ended(&outcome)[..2], expected[..2]);
    assert_eq!(outcome.entries[3].ended, Ended::NotBegun, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn the_time_for_all_ends_the_wait_and_says_what_was_missing() {
    let api = four().await;
    starts(&api, "a", Start::NeverReady);
    let begun = Instant::now();
    let settings = Settings { concurrency: 1, timeout: Some(seconds(30)), ..settings() };
    let (outcome, _) = restart(&api, settings, "deployment/a deployment/b").await;
    assert!(begun.elapsed() >= seconds(30) && begun.elapsed() < seconds(31), "{:?}", begun.elapsed());
    assert_eq!(ended(&outcome), [("a", Ended::TimedOut), ("b", Ended::NotBegun)]);
    assert_eq!(outcome.stop, Some(Stop::TimedOut));
    let why = crate::why(&outcome, "a");
    assert!(why.starts_with("not complete in time: ") && why.contains("main runs, but is not ready"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_begins_no_more_and_waits_and_a_second_one_leaves() {
    for (signals, expected) in [(1, Ended::Complete), (2, Ended::UnderWay)] {
        let api = four().await;
        for node in ["w1", "w2"] {
            api.kubelet(node, |kubelet| kubelet.pods_start_in = seconds(20));
        }
        let changes = restarts(&api, "deployment/a deployment/b").await;
        let (sender, interrupt) = Interrupt::by_hand();
        let press = async {
            tokio::time::sleep(seconds(2)).await;
            sender.send_replace(signals);
        };
        let settings = Settings { concurrency: 1, ..settings() };
        let ((outcome, _), ()) = tokio::join!(carry_out_until(&api, settings, changes, &interrupt), press);
        assert_eq!(ended(&outcome), [("a", expected), ("b", Ended::NotBegun)]);
        assert!(outcome.entries[0].changed);
        assert_eq!(outcome.stop, Some(Stop::Interrupted));
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_pauses_deletes_or_makes_anew_meanwhile_has_failed() {
    use k8s_openapi::api::apps::v1::Deployment;
    for what in ["it was paused meanwhile", "it was deleted meanwhile"] {
        let api = four().await;
        for node in ["w1", "w2"] {
            api.kubelet(node, |kubelet| kubelet.pods_start_in = seconds(20));
        }
        let meddle = async {
            tokio::time::sleep(seconds(5)).await;
            if what == "it was paused meanwhile" {
                api.edit::<Deployment>("shop/a", json!({"spec": {"paused": true}}));
            } else {
                api.remove::<Deployment>("shop/a");
            }
        };
        let ((outcome, _), ()) = tokio::join!(restart(&api, settings(), "deployment/a"), meddle);
        assert_eq!(ended(&outcome), [("a", Ended::Failed)]);
        assert!(crate::why(&outcome, "a").starts_with(what), "{outcome:?}");
    }
}
