//! Moving pods back to a node that is empty after a reboot: which pods, how many, and when it ends.

mod course;
mod volumes;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::{
    drain::{DrainOptions, DrainPolicy, Drainer},
    rebalance::{End, Moved, RebalanceError, RebalancePreview, Rebalanced, Rebalancer, Stage, Turn},
};
use usher_testkit::apiserver::{
    ApiServer, Fault,
    fixtures::{WorkloadFixture, budget, daemon_set, deployment, node, pod, replica_set},
};

use crate::cluster::{MINUTE, evictions, on, seconds};

/// w2 and w3 run these workloads, half each, and w1 has just come back empty.
async fn after_a_reboot(workloads: impl IntoIterator<Item = WorkloadFixture>) -> ApiServer {
    let api = ApiServer::new();
    api.add(node("w2").labelled("disk", "ssd")).add(node("w3").labelled("disk", "ssd"));
    for workload in workloads {
        api.add(workload);
    }
    sleep(seconds(5)).await;
    api.add(node("w1"));
    sleep(seconds(1)).await;
    api.forget_requests();
    api
}

/// Ten Deployments of two pods that a service would not miss one of.
fn services() -> Vec<WorkloadFixture> {
    (0..10).map(|number| deployment(&format!("shop/web-{number}")).replicas(2)).collect()
}

const W1: &str = "w1";

fn among(nodes: &[&str]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

fn turn<'a>(among: &'a [String]) -> Turn<'a> {
    Turn { to: W1, among, max_moves: None, at_a_time: 1, ready_within: MINUTE }
}

/// What came of a turn.
struct Ran {
    result: Result<Rebalanced, RebalanceError>,
    moved: Vec<Moved>,
    warned: Vec<String>,
    waited: Vec<String>,
}

impl Ran {
    fn end(&self) -> &End {
        &self.result.as_ref().unwrap().end
    }
}

async fn run(api: &ApiServer, options: &DrainOptions, turn: &Turn<'_>) -> Ran {
    let drainer = Drainer::new(api.client());
    let (mut moved, mut warned, mut waited) = (Vec::new(), Vec::new(), Vec::new());
    let mut told = |stage: Stage<'_>| match stage {
        Stage::Waiting(what) => waited.push(what),
        Stage::Warned(what) => warned.push(what),
        Stage::Moved(_) => {}
    };
    let result = Rebalancer::new(&drainer, options).run(turn, &mut moved, &mut told).await;
    Ran { result, moved, warned, waited }
}

async fn rebalanced(api: &ApiServer) -> Ran {
    run(api, &DrainOptions::default(), &turn(&among(&[W1]))).await
}

async fn preview(api: &ApiServer) -> RebalancePreview {
    let options = DrainOptions::default();
    Rebalancer::new(&Drainer::new(api.client()), &options).preview(&among(&[W1]), None).await.unwrap()
}

fn pods(api: &ApiServer) -> [usize; 3] {
    ["w1", "w2", "w3"].map(|node| on(api, node).len())
}

/// What keeps pods elsewhere, as `lone replicas: 2`.
fn stay(preview: &RebalancePreview) -> Vec<String> {
    preview.stay.iter().map(|staying| format!("{}: {}", staying.reason, staying.pods)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_empty_node_gets_its_share_and_each_pod_runs_before_the_next_one_goes() {
    let api = after_a_reboot(services()).await;
    assert_eq!(pods(&api), [0, 10, 10]);
    let begun = Instant::now();
    let ran = rebalanced(&api).await;
    assert_eq!(ran.end(), &End::HasItsShare);
    assert_eq!(pods(&api), [6, 7, 7]);
    assert_eq!((ran.moved.len(), evictions(&api).len()), (6, 6), "no more moves than needed");
    assert!(ran.moved.iter().all(|moved| moved.to == W1 && moved.wanted && moved.from != W1), "{:?}", ran.moved);
    // A pod starts within a second.
    assert!(begun.elapsed() >= seconds(6), "{:?}", begun.elapsed());
    assert_eq!(rebalanced(&api).await.moved, [], "once is enough");
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_each_node_will_have_and_changes_nothing() {
    let api = after_a_reboot(services()).await;
    let preview = preview(&api).await;
    let loads: Vec<_> =
        preview.nodes.iter().map(|node| (node.name.as_str(), node.before.pods, node.after.pods)).collect();
    assert_eq!(loads, [("w1", 0, 6), ("w2", 10, 7), ("w3", 10, 7)]);
    assert_eq!(preview.moves.len(), 6);
    assert!(preview.moves.iter().all(|planned| planned.to == W1));
    assert_eq!(api.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_name_the_nodes_far_below_the_mean_get_pods() {
    let api = after_a_reboot(services()).await;
    let options = DrainOptions::default();
    let drainer = Drainer::new(api.client());
    let rebalancer = Rebalancer::new(&drainer, &options);
    api.forget_requests();
    let (nodes, moves) = rebalancer.needy(None).await.unwrap();
    assert_eq!((nodes, &moves), (vec![W1.to_owned()], &preview(&api).await));
    let lists = api.requests().into_iter().filter(|call| call.path == "/api/v1/pods").count();
    assert_eq!(lists, 2, "one look, and one for the preview alone");
    api.edit::<Node>(W1, json!({"spec": {"unschedulable": true}}));
    assert_eq!(rebalancer.needy(None).await.unwrap().0, [""; 0], "who takes no pods needs none");
}

#[tokio::test(start_paused = true)]
async fn budgets_are_honoured() {
    for (most, expected) in [(0, &End::NothingHelps), (1, &End::HasItsShare)] {
        let api = after_a_reboot([deployment("shop/web").replicas(9)]).await;
        api.add(budget("shop/web").max_unavailable(most));
        let watched = api.clone();
        let fewest = tokio::spawn(async move {
            let is_ready = |pod: &Pod| {
                let conditions =
                    pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
                pod.metadata.deletion_timestamp.is_none()
                    && conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True")
            };
            let mut fewest = usize::MAX;
            for _ in 0..200 {
                sleep(Duration::from_millis(50)).await;
                fewest = fewest.min(watched.list::<Pod>().iter().filter(|pod| is_ready(pod)).count());
            }
            fewest
        });
        let ran = rebalanced(&api).await;
        assert_eq!((ran.end(), ran.moved.len()), (expected, 3 * most), "{:?}", ran.waited);
        assert_eq!(fewest.await.unwrap(), 9 - most);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again() {
    let api = after_a_reboot(services()).await;
    let busy = api.inject(Fault::on(http::Method::POST, "/eviction").too_many_requests(2).times(3));
    let ran = rebalanced(&api).await;
    assert_eq!((ran.end(), ran.moved.len(), busy.hits()), (&End::HasItsShare, 6, 3));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_stays_closed_ends_it_and_one_that_opens_goes_on_at_once() {
    for opens in [false, true] {
        let api = after_a_reboot([deployment("shop/web").replicas(9)]).await;
        api.add(budget("shop/web").max_unavailable(1));
        // Away for now, not for good: another pod of the budget is not ready.
        api.add(pod("shop/other").on("w3").labelled("app", "web").unready());
        sleep(seconds(1)).await;
        let later = api.clone();
        tokio::spawn(async move {
            sleep(seconds(30)).await;
            if opens {
                later.remove::<Pod>("shop/other");
            }
        });
        let begun = Instant::now();
        let ran = rebalanced(&api).await;
        let took = begun.elapsed();
        match opens {
            true => {
                assert_eq!((ran.end(), ran.moved.len()), (&End::HasItsShare, 3));
                assert!(took < seconds(50), "{took:?}");
            }
            false => {
                let End::BudgetsClosed(message) = ran.end() else { panic!("{:?}", ran.result) };
                assert!(message.contains("The disruption budget web needs"), "{message}");
                assert_eq!(ran.moved, []);
                assert!(took >= seconds(300) && took < seconds(310), "{took:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_do_not_fit_stay() {
    let ssd = deployment("shop/ssd").replicas(4).only_on("disk", "ssd");
    let large = deployment("shop/large").replicas(2).requesting("3500m", "1Gi");
    let api = after_a_reboot([ssd, large, deployment("shop/web").replicas(6)]).await;
    api.edit::<Node>(W1, json!({"status": {"allocatable": {"cpu": "2", "memory": "8Gi", "pods": "110"}}}));
    let preview = preview(&api).await;
    assert_eq!(stay(&preview), ["that fit no node which gets pods: 4"]);
    let ran = rebalanced(&api).await;
    assert_eq!(ran.end(), &End::NothingHelps);
    assert!(ran.moved.iter().all(|moved| moved.pod.name.starts_with("web-")), "{:?}", ran.moved);
    assert!(!ran.moved.is_empty());
}

#[tokio::test(start_paused = true)]
async fn pods_that_would_not_come_back_as_they_are_stay() {
    let api = after_a_reboot([
        deployment("shop/lone"),
        deployment("shop/scratch").replicas(2).with_empty_dir(),
        deployment("shop/kept").replicas(2),
        deployment("rook/osd").replicas(2),
        daemon_set("kube-system/cni"),
    ])
    .await;
    api.add(pod("shop/bare").on("w2")).add(pod("shop/job").on("w2").owned_by_job("batch"));
    api.add(pod("kube-system/etcd").on("w2").mirror());
    api.add(replica_set("shop/sick").replicas(2))
        .add(pod("shop/sick-1").on("w2").owned_by_replica_set("sick").unready());
    sleep(seconds(3)).await;
    let policy = DrainPolicy {
        protected_namespaces: vec!["rook".into()],
        skip: vec!["app=kept".parse().unwrap()],
        ..DrainPolicy::default()
    };
    let options = DrainOptions { policy, ..DrainOptions::default() };
    let ran = run(&api, &options, &turn(&among(&[W1]))).await;
    assert_eq!((ran.end(), ran.moved.len(), evictions(&api).len()), (&End::NothingHelps, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn of_pods_that_keep_apart_one_comes() {
    let api = ApiServer::new();
    for name in ["w2", "w3", "w4"] {
        api.add(node(name));
        for number in 0..4 {
            api.add(pod(&format!("shop/own-{name}-{number}")).on(name));
        }
    }
    api.add(deployment("shop/web").replicas(3).apart());
    sleep(seconds(5)).await;
    api.add(node(W1));
    let ran = rebalanced(&api).await;
    assert_eq!((ran.end(), ran.moved.len()), (&End::NothingHelps, 1), "{:?}", ran.moved);
    assert_eq!(on(&api, W1).len(), 1);
}
