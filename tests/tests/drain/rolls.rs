//! What many drains one after another cost the API.

use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use tokio::time::sleep;
use usher_coordinator::drain::{Confirm, DrainOptions, Drainer};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{budget, daemon_set, node, pod},
};

use crate::cluster::{MINUTE, on, seconds};

/// Few enough for a test, and enough to tell a cost for each node from one for the cluster.
const NODES: usize = 12;

fn names() -> Vec<String> {
    (0..NODES).map(|number| format!("w{number}")).collect()
}

async fn cluster() -> ApiServer {
    let api = ApiServer::new();
    for (number, name) in names().iter().enumerate() {
        api.add(node(name));
        api.add(pod(&format!("web/web-{number}")).on(name).owned_by_replica_set("web"));
        api.add(pod(&format!("batch/job-{number}")).on(name).owned_by_job("batch"));
    }
    for number in 0..5 {
        api.add(daemon_set(&format!("kube-system/agent-{number}")));
    }
    api.add(budget("web/web").max_unavailable(1));
    sleep(seconds(5)).await;
    api
}

fn schedulable(api: &ApiServer, name: &str, schedulable: bool) {
    let unschedulable = if schedulable { json!(null) } else { json!(true) };
    api.edit::<Node>(name, json!({"spec": {"unschedulable": unschedulable}}));
}

/// As a roll of reboots does: the node is looked at, cordoned, drained, and minutes pass until the next one.
#[tokio::test(start_paused = true)]
async fn a_roll_of_reboots_reads_the_cluster_once_and_of_each_node_only_what_is_its_own() {
    let api = cluster().await;
    let (drainer, options, names) = (Drainer::new(api.client()), DrainOptions::default(), names());
    drainer.previews(&names, &options, Confirm::Never).await.unwrap();
    api.forget_requests();
    for name in &names {
        sleep(4 * MINUTE).await;
        let before = api.requests().len();
        drainer.check(name, &options).await.unwrap();
        schedulable(&api, name, false);
        drainer.drain(name, &options, &mut |_| {}).await.unwrap();
        schedulable(&api, name, true);
        assert_eq!(on(&api, name).len(), 5, "its DaemonSets' pods");
        let requests: Vec<_> = api.requests().split_off(before);
        let asked = requests.iter().filter(|call| !call.path.ends_with("/eviction")).count();
        assert!(asked < 30, "{name}: {asked} requests: {requests:#?}");
    }
    let requests = api.requests();
    let of_the_cluster = |path: &str| {
        let all = requests.iter().filter(|call| call.path == path && !call.query.contains("fieldSelector"));
        all.filter(|call| !call.query.contains("watch=true")).count()
    };
    let lists = ["/api/v1/pods", "/api/v1/nodes", "/apis/policy/v1/poddisruptionbudgets"].map(of_the_cluster);
    assert_eq!(lists, [0; 3], "lists of all pods, nodes and budgets");
}

/// A budget that changes between the plan and a turn is seen, and what an old look forbids is looked at again.
#[tokio::test(start_paused = true)]
async fn what_stands_against_a_later_turn_is_judged_by_a_fresh_look() {
    let api = cluster().await;
    let (drainer, options) = (Drainer::new(api.client()), DrainOptions::default());
    drainer.previews(&names(), &options, Confirm::Never).await.unwrap();
    sleep(4 * MINUTE).await;
    api.add(budget("web/web").max_unavailable(0));
    sleep(seconds(3)).await;
    api.forget_requests();
    let error = drainer.check("w3", &options).await.unwrap_err();
    assert_eq!(error.to_string(), "1 pod on w3 can never be evicted as things stand");
    assert!(api.requests().iter().any(|call| call.path == "/api/v1/pods" && !call.query.contains("fieldSelector")));
    // The server has the last word on a budget, at once.
    api.add(budget("web/web").max_unavailable(1));
    sleep(seconds(3)).await;
    drainer.check("w3", &options).await.unwrap();
}
