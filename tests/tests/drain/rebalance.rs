//! Moving pods back to a node that is empty after a reboot: which pods, how many, and when it ends.

use std::time::Duration;

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::CSINode,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use usher_coordinator::{
    drain::{DrainOptions, DrainPolicy, Drainer},
    rebalance::{End, Moved, RebalanceError, RebalancePreview, Rebalanced, Rebalancer, Stage, Turn},
};
use usher_testkit::apiserver::{
    ApiServer, Fault,
    fixtures::{WorkloadFixture, budget, daemon_set, deployment, node, pod, replica_set, stateful_set},
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
    assert_eq!(rebalancer.needy().await.unwrap(), [W1]);
    api.edit::<Node>(W1, json!({"spec": {"unschedulable": true}}));
    assert_eq!(rebalancer.needy().await.unwrap(), [""; 0], "who takes no pods needs none");
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

#[tokio::test(start_paused = true)]
async fn successors_that_go_elsewhere_twice_end_it() {
    let api = after_a_reboot(services()).await;
    // The scheduler prefers a node that nobody named.
    api.add(node("w0")).add(pod("shop/own-1").on(W1)).add(pod("shop/own-2").on(W1));
    let ran = rebalanced(&api).await;
    assert_eq!(ran.end(), &End::WentElsewhere);
    assert_eq!(ran.moved.iter().map(|moved| (moved.to.as_str(), moved.wanted)).collect::<Vec<_>>(), [("w0", false); 2]);
    let owners: Vec<_> = ran.moved.iter().map(|moved| moved.pod.name.rsplit_once('-').unwrap().0.to_owned()).collect();
    assert_ne!(owners[0], owners[1], "a workload whose pod went elsewhere is not tried again");
    assert_eq!(evictions(&api).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_successor_on_another_node_that_gets_pods_went_well() {
    let api = after_a_reboot(services()).await;
    api.add(node("w0"));
    let both = among(&["w0", W1]);
    let ran = run(&api, &DrainOptions::default(), &turn(&both)).await;
    assert_eq!(ran.end(), &End::HasItsShare);
    assert!(ran.moved.iter().all(|moved| moved.wanted), "{:?}", ran.moved);
    assert!(on(&api, "w0").len() >= 4 && on(&api, W1).len() >= 4, "{:?}", pods(&api));
}

#[tokio::test(start_paused = true)]
async fn as_many_pods_are_under_way_as_was_asked_for_but_never_two_of_one_workload() {
    let most_going = |api: &ApiServer| {
        let going: Vec<_> =
            api.list::<Pod>().into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()).collect();
        let mut apps: Vec<_> = going.iter().map(|pod| pod.metadata.labels.as_ref().unwrap()["app"].clone()).collect();
        apps.sort();
        apps.dedup();
        (going.len(), apps.len())
    };
    for (at_a_time, workloads, most) in [(1, 10, 1), (3, 10, 3), (3, 1, 1)] {
        let each = 20 / workloads;
        let slow = |number| {
            deployment(&format!("shop/web-{number}")).replicas(each).pods_stop_after(Duration::from_millis(900))
        };
        let api = after_a_reboot((0..workloads).map(slow)).await;
        let (watched, mut seen) = (api.clone(), 0);
        let among = among(&[W1]);
        let options = DrainOptions::default();
        let turn = Turn { at_a_time, ..turn(&among) };
        let running = run(&api, &options, &turn);
        let mut running = std::pin::pin!(running);
        let ran = loop {
            tokio::select! {
                ran = &mut running => break ran,
                () = sleep(Duration::from_millis(50)) => {
                    let (going, apps) = most_going(&watched);
                    assert_eq!(going, apps, "two pods of one workload");
                    seen = seen.max(going);
                }
            }
        };
        assert_eq!((ran.end(), ran.moved.len(), seen), (&End::HasItsShare, 6, most), "{at_a_time} {workloads}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_pods_move_than_the_operator_allows() {
    let api = after_a_reboot(services()).await;
    let among = among(&[W1]);
    let ran = run(&api, &DrainOptions::default(), &Turn { max_moves: Some(2), at_a_time: 3, ..turn(&among) }).await;
    assert_eq!((ran.end(), ran.moved.len(), evictions(&api).len()), (&End::MostMoves, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_is_not_ready_in_time_stops_it() {
    let api = after_a_reboot(services()).await;
    api.kubelet(W1, |kubelet| kubelet.pods_start_in = Duration::from_secs(3600));
    let ran = rebalanced(&api).await;
    let Err(error @ RebalanceError::NotReady { node, .. }) = &ran.result else { panic!("{:?}", ran.result) };
    assert_eq!(node.as_deref(), Some(W1));
    assert!(error.to_string().contains("is not ready 1m30s after its eviction"), "{error}");
    assert_eq!(evictions(&api).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_a_stateful_set_comes_under_its_own_name_and_after_the_others() {
    let api = after_a_reboot([stateful_set("shop/db").replicas(6), deployment("shop/web").replicas(4)]).await;
    let ran = rebalanced(&api).await;
    assert_eq!(ran.end(), &End::HasItsShare, "{:?}", ran.moved);
    let names: Vec<_> = ran.moved.iter().map(|moved| moved.pod.name.as_str()).collect();
    let first_of_db = names.iter().position(|name| name.starts_with("db-"));
    assert!(names[0].starts_with("web-"), "{names:?}");
    if let Some(at) = first_of_db {
        assert!(names[at..].iter().all(|name| name.starts_with("db-")), "{names:?}");
    }
    let only_db = run(
        &after_a_reboot([stateful_set("shop/db").replicas(6)]).await,
        &DrainOptions::default(),
        &turn(&among(&[W1])),
    )
    .await;
    assert_eq!((only_db.end(), only_db.moved.len()), (&End::HasItsShare, 2));
    assert!(only_db.moved.iter().all(|moved| moved.pod.name == moved.successor), "{:?}", only_db.moved);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_makes_no_successor_is_left_alone() {
    let api = after_a_reboot([deployment("shop/web").replicas(9)]).await;
    let other = api.clone();
    let scale = async move {
        while evictions(&other).is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        other.edit::<k8s_openapi::api::apps::v1::Deployment>("shop/web", json!({"spec": {"replicas": 4}}));
        let sets = other.list::<k8s_openapi::api::apps::v1::ReplicaSet>();
        let set = sets[0].metadata.name.clone().unwrap();
        other.edit::<k8s_openapi::api::apps::v1::ReplicaSet>(&format!("shop/{set}"), json!({"spec": {"replicas": 4}}));
    };
    let (ran, ()) = tokio::join!(rebalanced(&api), scale);
    assert_eq!((ran.end(), ran.moved.len()), (&End::NothingHelps, 0));
    assert_eq!(ran.warned.len(), 1, "{:?}", ran.warned);
    assert!(ran.warned[0].ends_with("has gone and its controller made no successor"), "{:?}", ran.warned);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cordoned_meanwhile_gets_no_more_pods() {
    let api = after_a_reboot(services()).await;
    let other = api.clone();
    let cordon = async move {
        while on(&other, W1).is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        other.edit::<Node>(W1, json!({"spec": {"unschedulable": true}}));
    };
    let (ran, ()) = tokio::join!(rebalanced(&api), cordon);
    // The scheduler puts two elsewhere, and that ends it.
    assert_eq!(ran.end(), &End::WentElsewhere);
    assert_eq!(evictions(&api).len(), 3);
}

/// A controller takes the taint of a cordon away a moment after the cordon, and the scheduler goes by it until then.
#[tokio::test(start_paused = true)]
async fn a_node_that_was_uncordoned_just_now_is_waited_for() {
    let api = after_a_reboot(services()).await;
    api.edit::<Node>(W1, json!({"spec": {"unschedulable": true}}));
    sleep(seconds(1)).await;
    api.edit::<Node>(W1, json!({"spec": {"unschedulable": null}}));
    let ran = rebalanced(&api).await;
    assert_eq!((ran.end(), ran.moved.len()), (&End::HasItsShare, 6), "{:?}", ran.waited);
    assert_eq!(ran.waited[0], "w1 still carries the taint of its cordon");
}

#[tokio::test(start_paused = true)]
async fn an_apiserver_that_restarts_meanwhile_is_waited_for() {
    let api = after_a_reboot(services()).await;
    let other = api.clone();
    let restart = async move {
        while on(&other, W1).is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        other.outage(seconds(20));
    };
    let (ran, ()) = tokio::join!(rebalanced(&api), restart);
    assert_eq!((ran.end(), ran.moved.len()), (&End::HasItsShare, 6), "{:?}", ran.warned);
}

async fn create<K>(api: Api<K>, object: serde_json::Value)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn volumes_are_followed_to_the_nodes_that_can_use_them() {
    let with_volume = || deployment("shop/web").replicas(8).with_claim("data");
    for (zone, limit, expected) in [("a", 9, 2), ("b", 9, 0), ("a", 1, 1)] {
        let api = after_a_reboot([with_volume()]).await;
        api.edit::<Node>(W1, json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}}));
        let client = api.client();
        let term = json!({"matchExpressions": [
            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
        ]});
        create::<PersistentVolumeClaim>(
            Api::namespaced(client.clone(), "shop"),
            json!({"metadata": {"name": "data"}, "spec": {"volumeName": "pv-1"}}),
        )
        .await;
        let volume = json!({
            "metadata": {"name": "pv-1"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}},
        });
        create::<PersistentVolume>(Api::all(client.clone()), volume).await;
        let node = json!({
            "metadata": {"name": "w1"},
            "spec": {"drivers": [{"name": "csi", "nodeID": "w1", "allocatable": {"count": limit}}]},
        });
        create::<CSINode>(Api::all(client.clone()), node).await;
        let preview = preview(&api).await;
        assert_eq!(preview.moves.len(), expected, "{zone} {limit}: {preview:?}");
        let claims = Api::<PersistentVolumeClaim>::namespaced(client, "shop");
        claims.delete("data", &DeleteParams::default()).await.unwrap();
        let unbound = self::preview(&api).await;
        assert_eq!(
            (unbound.moves.len(), stay(&unbound)),
            (0, vec!["with volumes that could not be looked up: 8".into()])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_look_at_volumes_moves_the_pods_without() {
    let with_volume = deployment("shop/db").replicas(4).with_claim("data");
    let api = after_a_reboot([with_volume, deployment("shop/web").replicas(4)]).await;
    api.inject(Fault::on(http::Method::GET, "persistentvolumeclaims").status(403).always());
    let ran = rebalanced(&api).await;
    assert!(ran.moved.iter().all(|moved| moved.pod.name.starts_with("web-")), "{:?}", ran.moved);
    assert_eq!(ran.moved.len(), 2);
}
