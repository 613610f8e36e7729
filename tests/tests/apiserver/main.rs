//! The in-memory API server's own rules, where a test of usher leans on them. What it shares with the real server is in
//! the conformance suite.

mod scale;

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
    policy::v1::{Eviction, PodDisruptionBudget},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::json;
use tokio::time::Instant;
use usher_testkit::{
    apiserver::{
        ApiServer, Election, Endpoint, Failure, Fault, TlsFiles,
        fixtures::{budget, daemon_set, deployment, lease, node, pod, stateful_set},
    },
    pki::{Ca, Identity, Names},
};

async fn evict(api: &ApiServer, name: &str) -> Result<Status, kube::Error> {
    let (namespace, name) = name.split_once('/').unwrap();
    let pods: Api<Pod> = Api::namespaced(api.client(), namespace);
    let eviction = Eviction {
        metadata: kube::api::ObjectMeta { name: Some(name.into()), ..Default::default() },
        ..Default::default()
    };
    pods.create_subresource("eviction", name, &PostParams::default(), &eviction).await
}

fn code(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("not an answer: {other}"),
    }
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn evicted_pods_of_a_deployment_come_back_elsewhere_and_refill_the_budget() {
    let api = ApiServer::new();
    api.add(node("w1")).add(node("w2"));
    let stops = Duration::from_secs(5);
    api.add(deployment("web/web").replicas(4).pods_stop_after(stops)).add(budget("web/web").max_unavailable(1));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let on = |node: &str| {
        let is_there = |pod: &Pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some(node);
        api.list::<Pod>().into_iter().filter(is_there).map(|pod| pod.name_any()).collect::<Vec<_>>()
    };
    assert_eq!((on("w1").len(), on("w2").len()), (2, 2));

    let nodes: Api<Node> = Api::all(api.client());
    nodes.cordon("w1").await.unwrap();
    let [first, second] = on("w1").try_into().unwrap();
    evict(&api, &format!("web/{first}")).await.unwrap();
    let refused = evict(&api, &format!("web/{second}")).await.unwrap_err();
    assert_eq!(code(refused), 429);
    tokio::time::sleep(Duration::from_secs(2)).await; // the replacement is ready before the old one has gone
    evict(&api, &format!("web/{second}")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((on("w1").len(), on("w2").len()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn budgets_only_go_down_while_there_is_no_controller_manager() {
    let api = ApiServer::new();
    api.add(node("w1")).add(budget("web/web").min_available(1));
    for name in ["web/a", "web/b", "web/c"] {
        api.add(pod(name).on("w1").owned_by_replica_set("web"));
    }
    let allowed = || api.get::<PodDisruptionBudget>("web/web").unwrap().status.unwrap().disruptions_allowed;
    assert_eq!(allowed(), 2);
    api.run_controller_manager(false);
    evict(&api, "web/a").await.unwrap();
    settle().await;
    api.add(pod("web/d").on("w1").owned_by_replica_set("web"));
    assert_eq!(allowed(), 1);
    api.run_controller_manager(true);
    settle().await;
    assert_eq!(allowed(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pod_stops_by_its_own_pace_within_its_grace() {
    let grace = Duration::from_secs(30);
    for (name, fixture, wanted) in [
        ("web/quick", pod("web/quick"), Some(1)),
        ("web/slow", pod("web/slow").stops_after(Duration::from_secs(12)), Some(12)),
        ("web/deaf", pod("web/deaf").ignores_sigterm(), Some(30)),
        ("web/stuck", pod("web/stuck").never_stops(), None),
        ("web/kept", pod("web/kept").with_finalizer("example.com/keep"), None),
    ] {
        let api = ApiServer::new();
        api.add(node("w1")).add(fixture.on("w1").grace(grace));
        let begin = Instant::now();
        evict(&api, name).await.unwrap();
        while api.get::<Pod>(name).is_some() && begin.elapsed() < Duration::from_secs(300) {
            settle().await;
        }
        let took = api.get::<Pod>(name).is_none().then(|| begin.elapsed().as_secs());
        assert_eq!(took, wanted, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stateful_sets_pod_comes_back_under_its_name_with_another_uid() {
    let api = ApiServer::new();
    api.add(node("w1")).add(stateful_set("db/pg").replicas(1));
    settle().await;
    let before = api.get::<Pod>("db/pg-0").unwrap().uid();
    evict(&api, "db/pg-0").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = api.get::<Pod>("db/pg-0").unwrap().uid();
    assert!(after.is_some() && before != after, "{before:?} {after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_sets_pods_run_on_cordoned_nodes_too() {
    let api = ApiServer::new();
    api.add(node("w1").cordoned()).add(node("w2")).add(daemon_set("kube-system/cni"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let nodes: Vec<_> = api.list::<Pod>().into_iter().filter_map(|pod| pod.spec?.node_name).collect();
    assert_eq!(nodes.len(), 2);
    let taints = api.get::<Node>("w1").unwrap().spec.unwrap().taints.unwrap();
    assert_eq!(taints[0].key, "node.kubernetes.io/unschedulable");
}

#[tokio::test(start_paused = true)]
async fn a_node_without_power_stays_ready_for_50_s_and_comes_back_with_a_new_boot_id() {
    let api = ApiServer::new();
    api.add(node("w1").booted("one"));
    let ready = || {
        let status = api.get::<Node>("w1").unwrap().status.unwrap();
        let ready = status.conditions.unwrap().into_iter().find(|it| it.type_ == "Ready").unwrap().status;
        (ready, status.node_info.unwrap().boot_id)
    };
    settle().await;
    api.power_off("w1");
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(ready(), ("True".into(), "one".into()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(ready(), ("Unknown".into(), "one".into()));
    assert_eq!(api.get::<Node>("w1").unwrap().spec.unwrap().taints.unwrap().len(), 2);
    api.boot("w1", "two");
    settle().await;
    assert_eq!(ready(), ("True".into(), "two".into()));
    assert_eq!(api.get::<Node>("w1").unwrap().spec.unwrap().taints, None);
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_the_next_poll_and_a_kept_one_after_its_expiry() {
    for (releases, least, most) in [(true, 0, 5), (false, 11, 23)] {
        let api = ApiServer::new();
        let name = "kube-system/kube-controller-manager";
        let election = if releases { Election::releasing(&api, name) } else { Election::keeping(&api, name) };
        let leader = election.start("cp1");
        settle().await;
        let _standby = election.start("cp2");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(election.holder().as_deref(), Some(leader.identity()));
        leader.terminate().await;
        let begin = Instant::now();
        while election.holder().is_none_or(|holder| !holder.starts_with("cp2_")) {
            settle().await;
        }
        let took = begin.elapsed().as_secs();
        assert!((least..=most).contains(&took), "releases: {releases}, took {took} s");
        let transitions = api.get::<Lease>(name).unwrap().spec.unwrap().lease_transitions;
        assert_eq!(transitions, Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_after_a_list_and_sees_an_object_leave_its_selection() {
    let api = ApiServer::bare();
    api.add(pod("web/a").on("w1"));
    let pods: Api<Pod> = Api::all(api.client());
    let on_w1 = "spec.nodeName=w1";
    let version = pods.list(&ListParams::default().fields(on_w1)).await.unwrap().metadata.resource_version.unwrap();
    let events = pods.watch(&WatchParams::default().fields(on_w1).timeout(5), &version).await.unwrap();
    api.add(pod("web/b").on("w2")).add(pod("web/c").on("w1"));
    api.edit::<Pod>("web/a", json!({"metadata": {"labels": {"new": "label"}}}));
    api.edit::<Pod>("web/a", json!({"spec": {"nodeName": "w2"}}));
    let begin = Instant::now();
    let seen: Vec<_> = events
        .map_ok(|event| match event {
            WatchEvent::Added(pod) => format!("added {}", pod.name_any()),
            WatchEvent::Modified(pod) => format!("modified {}", pod.name_any()),
            WatchEvent::Deleted(pod) => format!("deleted {}", pod.name_any()),
            other => format!("{other:?}"),
        })
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen, ["added c", "modified a", "deleted a"]);
    assert_eq!(begin.elapsed().as_secs(), 5, "the server ends the watch at its timeout");
}

#[tokio::test(start_paused = true)]
async fn faults_strike_as_often_as_they_were_ordered() {
    let api = ApiServer::bare();
    api.add(node("w1"));
    let nodes: Api<Node> = Api::all(api.client());
    let fairness = api.inject(Fault::on(Method::GET, "/nodes/w1").times(2).too_many_requests(3));
    for _ in 0..2 {
        assert_eq!(code(nodes.get("w1").await.unwrap_err()), 429);
    }
    nodes.get("w1").await.unwrap();
    assert_eq!(fairness.hits(), 2);

    api.inject(Fault::on_any("/nodes").fail(Failure::new(503, "ServiceUnavailable", "etcd is away").retry_after(1)));
    assert_eq!(code(nodes.list(&ListParams::default()).await.unwrap_err()), 503);

    api.inject(Fault::on(Method::PATCH, "w1").lose_answer());
    nodes.cordon("w1").await.unwrap_err();
    assert_eq!(api.get::<Node>("w1").unwrap().spec.unwrap().unschedulable, Some(true), "it was done all the same");

    api.inject(Fault::on(Method::PATCH, "w1").refuse());
    nodes.uncordon("w1").await.unwrap_err();
    assert_eq!(api.get::<Node>("w1").unwrap().spec.unwrap().unschedulable, Some(true), "it was not done");

    api.inject(Fault::on(Method::GET, "w1").hang());
    tokio::time::timeout(Duration::from_secs(60), nodes.get("w1")).await.unwrap_err();

    api.outage(Duration::from_secs(10));
    nodes.get("w1").await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(11)).await;
    nodes.get("w1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cut_watch_breaks_and_one_from_a_forgotten_version_is_told_so() {
    let api = ApiServer::bare();
    api.add(pod("web/a").on("w1"));
    let pods: Api<Pod> = Api::all(api.client());
    let mut events = pods.watch(&WatchParams::default().disable_bookmarks(), "0").await.unwrap().boxed();
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Added(_)))));
    api.cut_watches();
    assert!(matches!(events.next().await, Some(Err(_)) | None));

    api.add(pod("web/b").on("w1"));
    api.compact();
    let mut events = pods.watch(&WatchParams::default(), "2").await.unwrap().boxed();
    let first = events.next().await.unwrap();
    let told = match first {
        Ok(WatchEvent::Error(status)) => status.code,
        Err(error) => code(error),
        other => panic!("{other:?}"),
    };
    assert_eq!(told, 410);
}

#[tokio::test(start_paused = true)]
async fn the_log_names_every_write_and_marks_dry_runs() {
    let api = ApiServer::bare();
    api.add(node("w1")).add(lease("kube-system/kube-scheduler").held_by("cp2_uuid"));
    let nodes: Api<Node> = Api::all(api.client());
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    nodes.patch("w1", &PatchParams { dry_run: true, ..Default::default() }, &patch).await.unwrap();
    nodes.patch("w1", &PatchParams::default(), &patch).await.unwrap();
    nodes.get("w1").await.unwrap();
    assert_eq!(api.writes(), ["PATCH /api/v1/nodes/w1?dryRun=All", "PATCH /api/v1/nodes/w1"]);
    assert_eq!(api.requests().last().unwrap().status, Some(200));
}

#[tokio::test]
async fn over_tls_a_stranger_gets_health_and_nothing_else() {
    let api = ApiServer::new();
    api.add(node("w1"));
    let ca = Ca::new("test").unwrap();
    let server = ca.server(&["127.0.0.1"]).unwrap();
    let tls = TlsFiles { certificate: &server.certificate, key: &server.key, client_ca: ca.pem() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = api.serve(listener, tls).unwrap();
    let known = ca.client(&Names { common_name: "operator", ..Names::default() }).unwrap();
    let readyz = |client: &kube::Client| {
        let client = client.clone();
        async move { client.request_text(http::Request::get("/readyz").body(Vec::new()).unwrap()).await }
    };

    let operator = tls_client(&endpoint, ca.pem(), Some(&known));
    let found = Api::<Node>::all(operator.clone()).list(&ListParams::default()).await.unwrap();
    assert_eq!(found.items.len(), 1);
    let stranger = tls_client(&endpoint, ca.pem(), None);
    let refused = Api::<Node>::all(stranger.clone()).list(&ListParams::default()).await.unwrap_err();
    assert_eq!(code(refused), 403);
    assert_eq!(readyz(&stranger).await.unwrap(), "ok");
    endpoint.set_ready(false);
    assert_eq!(code(readyz(&stranger).await.unwrap_err()), 500);
    drop(endpoint);
    Api::<Node>::all(operator).get("w1").await.unwrap_err();
}

fn tls_client(endpoint: &Endpoint, ca: &str, identity: Option<&Identity>) -> kube::Client {
    // An error means that a provider is installed, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = kube::Config::new(format!("https://{}", endpoint.address()).parse().unwrap());
    config.root_cert = Some(vec![CertificateDer::from_pem_slice(ca.as_bytes()).unwrap().to_vec()]);
    config.default_retry = false;
    let folder = tempfile::tempdir().unwrap();
    if let Some(identity) = identity {
        let (certificate, key) = identity.write(folder.path(), "client").unwrap();
        config.auth_info.client_certificate = Some(certificate.display().to_string());
        config.auth_info.client_key = Some(key.display().to_string());
    }
    kube::Client::try_from(config).unwrap()
}
