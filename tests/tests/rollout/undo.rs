//! Taking back: the revision before, and nothing that was not meant.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use serde_json::{Value, json};
use usher_coordinator::workloads::rollout::{Action, Change, Ended, Row, undo};
use usher_testkit::apiserver::{
    ApiServer, Start,
    fixtures::{daemon_set, deployment, stateful_set},
};

use crate::{AT, carry_out, cluster, ended, named, pods, restart, seconds, server, settings, settle, shop, starts};

async fn three_kinds() -> ApiServer {
    let api = server();
    api.add(deployment("shop/web").replicas(2)).add(stateful_set("shop/db").replicas(2)).add(daemon_set("shop/agent"));
    settle().await;
    api
}

fn templates(api: &ApiServer) -> [Value; 3] {
    [
        serde_json::to_value(api.get::<Deployment>("shop/web").unwrap().spec.unwrap().template).unwrap(),
        serde_json::to_value(api.get::<StatefulSet>("shop/db").unwrap().spec.unwrap().template).unwrap(),
        serde_json::to_value(api.get::<DaemonSet>("shop/agent").unwrap().spec.unwrap().template).unwrap(),
    ]
}

async fn planned(api: &ApiServer, workload: &str, at: Option<&str>) -> (Row, Option<Change>) {
    let workload = named(api, workload).await.remove(0);
    undo(&cluster(api), &shop(), &workload, at.map(|at| at.parse().unwrap()), None).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_taken_back_to_the_template_before_it() {
    let api = three_kinds().await;
    let before = templates(&api);
    restart(&api, settings(), "deploy/web sts/db ds/agent").await;
    settle().await;
    assert_ne!(templates(&api), before);
    let mut changes = Vec::new();
    for workload in ["deploy/web", "sts/db", "ds/agent"] {
        let (row, change) = planned(&api, workload, Some(AT)).await;
        assert_eq!(
            (row.action, row.remarks.join("; ").as_str()),
            (Action::Undo, "back to revision 1; only the restart is taken back")
        );
        changes.extend(change);
    }
    let (outcome, _) = carry_out(&api, settings(), changes).await;
    assert_eq!(ended(&outcome), [("web", Ended::Complete), ("db", Ended::Complete), ("agent", Ended::Complete)]);
    assert_eq!(templates(&api), before);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_is_stuck_is_taken_back_without_a_new_pod() {
    let api = server();
    api.add(deployment("shop/web").replicas(2).progress_deadline(seconds(60)));
    settle().await;
    let before = pods(&api, "web");
    starts(&api, "web", Start::NoImage);
    let (outcome, _) = restart(&api, settings(), "deploy/web").await;
    assert_eq!(ended(&outcome), [("web", Ended::Failed)]);
    let (_, change) = planned(&api, "deploy/web", Some(AT)).await;
    let (outcome, _) = carry_out(&api, settings(), change.into_iter().collect()).await;
    assert_eq!(ended(&outcome), [("web", Ended::Complete)]);
    settle().await;
    assert_eq!(pods(&api, "web"), before, "the old pods have served all the time");
}

#[tokio::test(start_paused = true)]
async fn only_the_restart_that_was_named_is_taken_back() {
    let api = three_kinds().await;
    let (row, change) = planned(&api, "deploy/web", Some(AT)).await;
    assert_eq!((row.remarks.join(""), change.is_none()), ("it has no restart to take back".to_owned(), true));
    let (row, _) = planned(&api, "deploy/web", None).await;
    assert_eq!(row.remarks, ["it has no earlier revision (revisionHistoryLimit, or it was never changed)"]);

    restart(&api, settings(), "deploy/web").await;
    let (row, _) = planned(&api, "deploy/web", Some("2026-11-24T00:00:00Z")).await;
    assert_eq!(row.remarks, [format!("its last restart is another one, of {AT}")]);

    // A deploy after the restart keeps its annotation, but what is before it is the restart.
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "registry.example/main:2"}]}}}});
    let generation = json!({"metadata": {"generation": 3}});
    api.edit::<Deployment>("shop/web", image).edit::<Deployment>("shop/web", generation);
    settle().await;
    let (row, _) = planned(&api, "deploy/web", Some(AT)).await;
    assert_eq!(row.action, Action::Refuse);
    assert!(row.remarks[0].starts_with("more than the restart would be taken back with revision 2"), "{row:?}");
    let (row, change) = planned(&api, "deploy/web", None).await;
    assert_eq!(row.remarks, ["back to revision 2", "main: registry.example/main:2 → registry.example/main:1"]);
    assert!(change.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_since_it_was_planned_is_not_taken_back() {
    let api = three_kinds().await;
    restart(&api, settings(), "deploy/web").await;
    settle().await;
    let (_, change) = planned(&api, "deploy/web", Some(AT)).await;
    api.edit::<Deployment>("shop/web", json!({"metadata": {"generation": 3}, "spec": {"replicas": 5}}));
    let (outcome, _) = carry_out(&api, settings(), change.into_iter().collect()).await;
    assert_eq!(ended(&outcome), [("web", Ended::Failed)]);
    assert!(crate::why(&outcome, "web").contains("somebody has changed it since"), "{outcome:?}");
}
