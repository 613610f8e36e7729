//! What is said of each pod before anything is touched.

use http::Method;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use tokio::{sync::watch, time::sleep};
use usher_coordinator::drain::{
    BudgetPreview, Confirm, DrainError, DrainOptions, DrainPreview, Drainer, PodVerdict, Verdict, never_lines,
};
use usher_testkit::apiserver::{
    ApiServer, Failure, Fault,
    fixtures::{PodFixture, budget, daemon_set, deployment, node, pod},
};

use crate::cluster::{names, owned, seconds};

fn two_nodes() -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    api
}

fn of_web(name: &str) -> PodFixture {
    pod(name).on("w1").labelled("app", "web").owned_by_replica_set("web")
}

async fn previewed(api: &ApiServer, confirm: Confirm) -> DrainPreview {
    // Budgets are counted within seconds.
    sleep(seconds(3)).await;
    api.forget_requests();
    let nodes = ["w1".to_owned()];
    let mut previews = Drainer::new(api.client()).previews(&nodes, &DrainOptions::default(), confirm).await.unwrap();
    previews.remove(0)
}

fn find<'p>(preview: &'p DrainPreview, name: &str) -> &'p PodVerdict {
    preview.pods.iter().find(|pod| pod.pod.to_string() == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_preview_counts_without_touching_anything() {
    let api = two_nodes();
    api.add(daemon_set("kube-system/proxy"));
    for number in 0..4 {
        api.add(pod(&format!("web/web-{number}")).on("w1").owned_by_replica_set("web"));
    }
    api.add(budget("web/web").max_unavailable(1)).add(owned("web/job")).add(pod("tools/shell").on("w1"));
    sleep(seconds(5)).await;
    api.forget_requests();
    let preview = previewed(&api, Confirm::Nothing).await;
    assert_eq!(names(&preview.evict), ["web/job", "web/web-0", "web/web-1", "web/web-2", "web/web-3"]);
    assert_eq!((preview.stay.len(), preview.wait), (1, 3));
    assert_eq!(preview.refused[0].message, "Pods that declare no controller (use --force to override)");
    let [BudgetPreview { pods: 4, allowed: 1, healthy: 4, desired: 3, .. }] = &preview.budgets[..] else {
        panic!("{:?}", preview.budgets)
    };
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn pods_that_can_never_go_are_named_with_what_would_let_them() {
    let api = two_nodes();
    api.add(pod("db/pg-0").on("w1").labelled("app", "pg").owned_by_stateful_set("pg"));
    api.add(budget("db/pg").min_available(1));
    api.add(pod("tools/shell").on("w1")).add(of_web("web/fine"));
    sleep(seconds(3)).await;
    api.forget_requests();
    let error = Drainer::new(api.client()).check("w1", &DrainOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "2 pods on w1 can never be evicted as things stand");
    let DrainError::Never { pods, .. } = &error else { panic!("{error:?}") };
    assert_eq!(
        never_lines(pods),
        [
            "db/pg-0      budget db/pg allows none: minAvailable 1, replicas 1",
            "             add a replica, or let the budget allow one",
            "tools/shell  bare pod, nothing would bring it back",
            "             --force deletes it for good",
        ]
    );
    // The server has confirmed it, by a dry run; nothing has changed.
    assert_eq!(api.writes(), ["POST /api/v1/namespaces/db/pods/pg-0/eviction?dryRun=All"]);
    assert!(api.get::<Pod>("db/pg-0").unwrap().metadata.deletion_timestamp.is_none());
    // The operator may not mind what a budget says; a bare pod has a flag of its own.
    let anyway = DrainOptions { ignore_verdicts: true, ..DrainOptions::default() };
    let error = Drainer::new(api.client()).check("w1", &anyway).await.unwrap_err();
    assert_eq!(error.to_string(), "1 pod on w1 can never be evicted as things stand");
    let forced = DrainOptions { force: true, ..anyway };
    Drainer::new(api.client()).check("w1", &forced).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pods_that_wait_and_pods_that_stay_do_not_keep_a_drain_from_beginning() {
    let api = two_nodes();
    api.add(daemon_set("kube-system/proxy"));
    for number in 0..4 {
        api.add(of_web(&format!("web/web-{number}")));
    }
    api.add(budget("web/web").max_unavailable(1));
    let preview = previewed(&api, Confirm::Nothing).await;
    assert_eq!(preview.to_string(), "5 pods: 1 can go now, 3 must wait for web/web (1 at a time), 1 stays (DaemonSet)");
    assert_eq!(find(&preview, "web/web-0").verdict, Verdict::Now);
    assert_eq!(find(&preview, "web/web-3").verdict, Verdict::Wait { budget: "web".into(), needs: 3, has: 4 });
    Drainer::new(api.client()).check("w1", &DrainOptions::default()).await.unwrap();
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lone_replica_and_a_pod_that_no_other_node_takes_are_warned_of() {
    let api = two_nodes();
    api.add(deployment("web/one").replicas(1));
    sleep(seconds(3)).await;
    api.edit::<Node>("w2", json!({"spec": {"unschedulable": true}}));
    let lone = api.list::<Pod>()[0].clone();
    let on = lone.spec.unwrap().node_name.unwrap();
    let nodes = [on];
    let previews =
        Drainer::new(api.client()).previews(&nodes, &DrainOptions::default(), Confirm::Nothing).await.unwrap();
    let cautions = &previews[0].pods[0].cautions;
    assert_eq!(cautions[0], "a lone replica, away until another one is ready");
    assert_eq!(cautions.len(), usize::from(nodes[0] == "w1") + 1, "{cautions:?}");
    assert_eq!(previews[0].pods[0].verdict, Verdict::Now);
}

#[tokio::test(start_paused = true)]
async fn the_server_has_the_last_word() {
    let api = two_nodes();
    api.add(of_web("web/a")).add(of_web("web/b")).add(of_web("web/c"));
    let no = Failure::new(403, "Forbidden", "admission webhook \"keep\" denied the request: not on Fridays");
    api.inject(Fault::on(Method::POST, "pods/b/eviction").fail(no).always());
    let forbidden = Failure::new(403, "Forbidden", "pods \"c\" is forbidden");
    api.inject(Fault::on(Method::POST, "pods/c/eviction").fail(forbidden).always());
    let preview = previewed(&api, Confirm::Everything).await;
    assert_eq!(find(&preview, "web/a").verdict, Verdict::Now);
    // A webhook may change its mind, once its operator has moved the pod.
    let denied = find(&preview, "web/b");
    assert_eq!(denied.verdict, Verdict::Now);
    assert_eq!(denied.cautions, ["admission webhook \"keep\" denied the request: not on Fridays"]);
    let Verdict::Never { because, .. } = &find(&preview, "web/c").verdict else { panic!() };
    assert_eq!(because, "pods \"c\" is forbidden");
    assert_eq!(api.writes().len(), 3);
    assert!(api.writes().iter().all(|write| write.ends_with("?dryRun=All")));
}

#[tokio::test(start_paused = true)]
async fn many_nodes_cost_one_look_at_the_cluster() {
    let api = two_nodes();
    api.add(of_web("web/a")).add(pod("web/b").on("w2").owned_by_job("batch"));
    api.forget_requests();
    let nodes = ["w1".to_owned(), "w2".to_owned()];
    let previews =
        Drainer::new(api.client()).previews(&nodes, &DrainOptions::default(), Confirm::Nothing).await.unwrap();
    assert_eq!(previews.len(), 2);
    assert_eq!(api.requests().len(), 3, "budgets, nodes, pods");
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_look_at_the_cluster_gets_verdicts_without_it() {
    let api = two_nodes();
    api.add(of_web("web/a"));
    api.inject(Fault::on(Method::GET, "/api/v1/nodes").status(403).always());
    api.inject(Fault::on(Method::GET, "poddisruptionbudgets").status(403).always());
    let preview = previewed(&api, Confirm::Nothing).await;
    assert_eq!(find(&preview, "web/a").verdict, Verdict::Now);
}

#[tokio::test(start_paused = true)]
async fn many_pods_with_one_reason_are_one_line() {
    let api = two_nodes();
    for number in 0..6 {
        api.add(pod(&format!("tools/shell-{number}")).on("w1"));
    }
    let preview = previewed(&api, Confirm::Nothing).await;
    assert_eq!(
        preview.lines(),
        [
            "tools/shell-0 and 5 more  bare pod, nothing would bring it back",
            "                          --force deletes it for good",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn verdicts_are_data_too() {
    let api = two_nodes();
    api.add(pod("tools/shell").on("w1"));
    let preview = previewed(&api, Confirm::Nothing).await;
    let pod = &serde_json::to_value(&preview).unwrap()["pods"][0];
    assert_eq!((&pod["verdict"], &pod["name"]), (&json!("never"), &json!("shell")));
    assert_eq!(pod["unblock"], "--force deletes it for good");
}

#[tokio::test(start_paused = true)]
async fn while_nobody_replenishes_budgets_pods_wait_for_that_and_are_not_stuck() {
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    api.add(deployment("web/web").replicas(4)).add(budget("web/web").max_unavailable(1));
    sleep(seconds(5)).await;
    api.edit::<Node>("w1", json!({"spec": {"unschedulable": true}}));
    let leads = watch::Sender::new(Some(false));
    let drainer = Drainer::new(api.client()).with_budget_leader(leads.subscribe());
    let mut told = Vec::new();
    api.run_controller_manager(false);
    let drain = async { drainer.drain("w1", &DrainOptions::default(), &mut |progress| told.push(progress)).await };
    let election = async {
        sleep(seconds(16)).await;
        leads.send_replace(Some(true));
        api.run_controller_manager(true);
    };
    let (drained, ()) = tokio::join!(drain, election);
    assert_eq!(drained.unwrap().moved.len(), 2);
    let said = told.iter().find(|progress| progress.not_refilled_since.is_some()).unwrap().to_string();
    assert!(said.contains("no kube-controller-manager leads: budgets do not refill"), "{said}");
    assert!(told.last().unwrap().not_refilled_since.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_look_at_a_large_cluster_outlasts_a_server_that_is_away_and_a_token_that_expires() {
    let api = two_nodes();
    for number in 0..501 {
        api.add(of_web(&format!("web/web-{number}")));
    }
    let expired = api.inject(Fault::on(Method::GET, "continue=").status(410));
    let away = api.inject(Fault::on(Method::GET, "").status(503).times(30));
    let preview = previewed(&api, Confirm::Nothing).await;
    assert_eq!((preview.evict.len(), expired.hits(), away.hits()), (501, 1, 30));
    // Counted once, though read twice: 501 replicas, and none of them alone.
    assert!(preview.pods.iter().all(|pod| pod.cautions.is_empty()), "{:?}", preview.pods[0]);
}
