//! What a restart writes, and when it is complete.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use serde_json::Value;
use tokio::time::Instant;
use usher_coordinator::workloads::rollout::{Change, Ended, Standing, standing};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{daemon_set, deployment, stateful_set},
};

use crate::{AT, carry_out, cluster, ended, named, pods, restart, seconds, server, settings, settle, shop};

const ANNOTATION: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";

async fn three_kinds() -> ApiServer {
    let api = server();
    api.add(deployment("shop/web").replicas(3)).add(stateful_set("shop/db").replicas(2)).add(daemon_set("shop/agent"));
    settle().await;
    api
}

#[tokio::test(start_paused = true)]
async fn every_pod_is_another_one_when_a_restart_is_complete() {
    let api = three_kinds().await;
    let before: Vec<_> = ["web", "db", "agent"].iter().flat_map(|app| pods(&api, app)).collect();
    let (outcome, _) = restart(&api, settings(), "deployment/web statefulset/db daemonset/agent").await;
    assert_eq!(ended(&outcome), [("web", Ended::Complete), ("db", Ended::Complete), ("agent", Ended::Complete)]);
    assert_eq!(outcome.stop, None);
    for (app, count) in [("db", 2), ("agent", 2)] {
        assert_eq!(pods(&api, app).len(), count, "{app}");
    }
    for app in ["web", "db", "agent"] {
        // An old pod of a Deployment may still be ending; of the others none is left.
        let new = pods(&api, app).into_iter().filter(|uid| !before.contains(uid)).count();
        assert_eq!(new, if app == "web" { 3 } else { 2 }, "{app}");
    }
    let annotation = |object: Value| object.pointer(ANNOTATION).and_then(Value::as_str).unwrap().to_owned();
    let objects = [
        serde_json::to_value(api.get::<Deployment>("shop/web")).unwrap(),
        serde_json::to_value(api.get::<StatefulSet>("shop/db")).unwrap(),
        serde_json::to_value(api.get::<DaemonSet>("shop/agent")).unwrap(),
    ];
    assert_eq!(objects.map(annotation), [AT, AT, AT]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_one_patch_by_usher_and_one_watch_for_each_kind() {
    let api = server();
    for number in 0..20 {
        api.add(deployment(&format!("shop/web-{number:02}")));
    }
    settle().await;
    let changes = crate::restarts(&api, "deployment").await;
    api.forget_requests();
    let (outcome, _) = carry_out(&api, settings(), changes).await;
    assert!(outcome.entries.iter().all(|entry| entry.ended == Ended::Complete));
    let requests = api.requests();
    let writes: Vec<_> = requests.iter().filter(|call| call.is_write()).collect();
    assert_eq!(writes.len(), 20);
    assert!(writes.iter().all(|call| call.query.contains("fieldManager=usher")), "{writes:?}");
    let reads: Vec<_> = requests.iter().filter(|call| !call.is_write()).collect();
    assert_eq!(reads.len(), 2, "one list and one watch: {reads:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_the_change_cause_and_without_one_the_old_cause_stays() {
    let api = server();
    api.add(deployment("shop/web"));
    settle().await;
    let cause = || {
        api.get::<Deployment>("shop/web").unwrap().metadata.annotations.unwrap()["kubernetes.io/change-cause"].clone()
    };
    let at = |second: u32, reason: Option<&'static str>| (format!("2026-11-25T12:00:{second:02}Z"), reason);
    for ((at, reason), expected) in
        [(at(1, Some("new CA")), "new CA"), (at(2, None), "new CA"), (at(3, Some("T1")), "T1")]
    {
        let workload = named(&api, "deployment/web").await.remove(0);
        carry_out(&api, settings(), vec![Change::restart(workload, &at, reason)]).await;
        assert_eq!(cause(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_restart_within_the_second_is_an_error_as_it_would_change_nothing() {
    let api = server();
    api.add(deployment("shop/web"));
    settle().await;
    restart(&api, settings(), "deployment/web").await;
    let (outcome, _) = restart(&api, settings(), "deployment/web").await;
    assert_eq!(ended(&outcome), [("web", Ended::Failed)]);
    assert!(crate::why(&outcome, "web").contains("within this very second"), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_try_changes_nothing() {
    let api = three_kinds().await;
    let before = pods(&api, "web");
    for change in crate::restarts(&api, "deployment,statefulset,daemonset").await {
        change.apply(&cluster(&api), &shop(), true).await.unwrap();
    }
    settle().await;
    assert_eq!(pods(&api, "web"), before);
    assert!(api.writes().iter().all(|write| write.ends_with("?dryRun=All")), "{:?}", api.writes());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_pods_that_change_on_deletion_or_are_below_the_partition() {
    let api = server();
    api.add(stateful_set("shop/by-hand").replicas(2).on_delete())
        .add(stateful_set("shop/held").replicas(2).partition(2));
    api.add(stateful_set("shop/half").replicas(2).partition(1)).add(deployment("shop/none").replicas(0));
    settle().await;
    let before: Vec<_> = ["by-hand", "held", "half"].map(|app| pods(&api, app)).into();
    let (outcome, _) =
        restart(&api, settings(), "statefulset/by-hand statefulset/held statefulset/half deployment/none").await;
    let expected =
        [("by-hand", Ended::Begun), ("held", Ended::Complete), ("half", Ended::Complete), ("none", Ended::Complete)];
    assert_eq!(ended(&outcome), expected);
    assert!(crate::why(&outcome, "by-hand").starts_with("OnDelete: 0 of 2 pods are new"), "{outcome:?}");
    assert_eq!(pods(&api, "by-hand"), before[0]);
    assert_eq!(pods(&api, "held"), before[1]);
    let kept = pods(&api, "half").into_iter().filter(|uid| before[2].contains(uid)).count();
    assert_eq!(kept, 1, "half-0 is below the partition");
}

#[tokio::test(start_paused = true)]
async fn without_waiting_all_are_changed_at_once() {
    let api = server();
    for number in 0..30 {
        api.add(deployment(&format!("shop/web-{number}")));
    }
    settle().await;
    let begun = Instant::now();
    let settings = usher_coordinator::workloads::rollout::Settings { wait: false, ..settings() };
    let (outcome, _) = restart(&api, settings, "deployment").await;
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
    assert!(outcome.entries.iter().all(|entry| entry.ended == Ended::Begun && entry.changed));
    let rolling = named(&api, "deployment").await;
    assert!(rolling.iter().all(|workload| matches!(standing(workload), Standing::Rolling(_))));
}
