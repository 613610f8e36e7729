//! Which pods go, which stay, and which forbid the drain.

use tokio::time::sleep;
use usher_coordinator::drain::{DrainOptions, StayReason};
use usher_testkit::apiserver::fixtures::{daemon_set, pod};

use crate::cluster::{cluster, drain_with, drained, moved, on, owned, refused, seconds};

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
async fn only_the_pods_with_the_selectors_labels_are_drained() {
    let api = cluster();
    api.add(owned("web/a").labelled("tier", "front")).add(pod("web/bare").on("w1"));
    let options = DrainOptions { pod_selector: Some("tier=front".parse().unwrap()), ..DrainOptions::default() };
    let (result, _) = drain_with(&api, &options).await;
    assert_eq!(moved(&result.unwrap()), ["web/a"]);
    assert_eq!(on(&api, "w1"), ["bare"]);
}
