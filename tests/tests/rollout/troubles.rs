//! Which pod is why a rollout stands: told while it stands, and again when it has failed.

use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use tokio::time::Instant;
use usher_coordinator::workloads::rollout::{Ended, Event};
use usher_testkit::apiserver::{
    ApiServer, Start,
    fixtures::{daemon_set, deployment, stateful_set},
};

use crate::{ended, restart, seconds, server, settings, settle, starts, why};

const CRASH: Start = Start::Crashes { exit_code: 3, log: "cannot reach db:5432\n" };

async fn web() -> ApiServer {
    let api = server();
    api.add(deployment("shop/web").replicas(2).progress_deadline(seconds(120)));
    settle().await;
    api
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_fails_says_which_pod_and_why() {
    for (start, expected) in [
        (Start::NoImage, ["main: ImagePullBackOff: ", "Back-off pulling image"]),
        (CRASH, ["main: CrashLoopBackOff: ", "it ended: Error, exit code 3;   | cannot reach db:5432"]),
        (Start::NeverReady, ["main runs, but is not ready", ""]),
    ] {
        let api = web().await;
        starts(&api, "web", start);
        let begun = Instant::now();
        let (outcome, told) = restart(&api, settings(), "deployment/web").await;
        assert_eq!(ended(&outcome), [("web", Ended::Failed)]);
        let why = why(&outcome, "web");
        assert!(why.starts_with("no progress within 120 s: "), "{why}");
        assert!(expected.iter().all(|part| why.contains(part)), "{why}");
        assert!(begun.elapsed() < seconds(130), "{:?}", begun.elapsed());
        let waiting = told.iter().find_map(|event| match event {
            Event::Waiting { why, .. } if !why.is_empty() => Some(why.join("; ")),
            _ => None,
        });
        assert!(waiting.is_some_and(|why| why.contains(expected[0])), "long before it fails: {told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_no_node_takes_is_named_with_the_schedulers_words() {
    let api = web().await;
    for node in ["w1", "w2"] {
        api.edit::<Node>(node, json!({"spec": {"unschedulable": true}}));
    }
    let (outcome, _) = restart(&api, settings(), "deployment/web").await;
    let why = why(&outcome, "web");
    assert!(why.contains("Unschedulable: no node is schedulable and has room"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn sets_without_a_deadline_of_their_own_fail_after_ten_minutes_without_progress() {
    let api = server();
    api.add(stateful_set("shop/db").replicas(2)).add(daemon_set("shop/agent"));
    settle().await;
    for app in ["db", "agent"] {
        starts(&api, app, CRASH);
    }
    let begun = Instant::now();
    let (outcome, _) = restart(&api, settings(), "statefulset/db daemonset/agent").await;
    assert_eq!(ended(&outcome), [("db", Ended::Failed), ("agent", Ended::Failed)]);
    assert!(begun.elapsed() > seconds(600) && begun.elapsed() < seconds(640), "{:?}", begun.elapsed());
    for (name, pod) in [("db", "pod db-1: "), ("agent", "pod agent-")] {
        let why = why(&outcome, name);
        assert!(why.starts_with("no progress within 600 s") && why.contains(pod), "{why}");
        assert!(why.contains("cannot reach db:5432"), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollout_whose_trouble_ends_goes_on_to_its_end() {
    let api = web().await;
    starts(&api, "web", Start::NoImage);
    let mend = async {
        tokio::time::sleep(seconds(60)).await;
        for node in ["w1", "w2"] {
            api.kubelet(node, |kubelet| kubelet.starts.clear());
        }
    };
    let ((outcome, _), ()) = tokio::join!(restart(&api, settings(), "deployment/web"), mend);
    assert_eq!(ended(&outcome), [("web", Ended::Complete)]);
    assert_eq!(why(&outcome, "web"), "");
}
