//! `usher status`, `leaders` and `nodes`: an answer within two seconds.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};

use http::Method;
use tempfile::TempDir;
use tokio::time::Instant;
use usher_coordinator::{
    facts::leader::Leadership,
    facts::{AgentFacts, Scope},
    site::Site,
    world::World,
};
use usher_testkit::{
    apiserver::{
        Fault,
        fixtures::{lease, node},
    },
    pki::{Ca, Names},
};

use super::{cluster, requests, seconds, server, site, world};

/// A site whose agents take connections and never say a word.
struct Silent {
    site: Site,
    _listener: TcpListener,
    _folder: TempDir,
}

fn silent(site: Site) -> Silent {
    let (listener, folder) = (TcpListener::bind("127.0.0.1:0").unwrap(), TempDir::new().unwrap());
    let ca = Ca::new("agents").unwrap();
    let client = ca.client(&Names { common_name: "alice", ..Names::default() }).unwrap();
    let mut site = site;
    (site.agents.certificate, site.agents.key) = client.write(folder.path(), "client").unwrap();
    site.agents.ca = folder.path().join("ca.pem");
    ca.write(&site.agents.ca).unwrap();
    site.agents.address = Some(listener.local_addr().unwrap().to_string());
    Silent { site, _listener: listener, _folder: folder }
}

fn everything() -> Scope {
    Scope { control_plane: true, all: true, ..Scope::default() }
}

#[tokio::test(start_paused = true)]
async fn status_is_there_within_two_seconds_whatever_is_dead_or_silent() {
    let api = server();
    for number in 0..200 {
        api.add(node(&format!("n{number}")));
    }
    api.add(lease("kube-system/kube-scheduler").held_by("cp2_x").renewed_ago(seconds(60)));
    api.inject(Fault::on(Method::GET, "/readyz").hang().always());
    let silent = silent(site());
    let begun = Instant::now();
    let world = World::open(silent.site, cluster(&api)).await.unwrap();
    let scope = everything();
    let (version, lock, facts) = futures::join!(world.version_at_once(), world.lock_at_once(), world.look(&scope));
    let (took, facts) = (begun.elapsed(), facts.unwrap());
    assert!(took <= seconds(2), "{took:?}");
    assert_eq!((version.unwrap().as_str(), lock.unwrap()), ("v1.37.2", None));
    assert!(matches!(facts.leaders["kube-scheduler"], Leadership::Stale(_)), "{:?}", facts.leaders);
    assert_eq!(facts.leaders["kube-controller-manager"].machine(), Some("cp2"));
    assert!(facts.machines.iter().all(|machine| matches!(machine.agent, AgentFacts::Silent { .. })));
    assert_eq!(facts.machines.len(), 205);
    assert!(facts.apiservers.values().all(|readiness| !readiness.is_ready()), "{:?}", facts.apiservers);
}

#[tokio::test(start_paused = true)]
async fn whoever_only_looks_reads_each_lease_once() {
    let api = server();
    let world = world(&api, site()).await;
    api.forget_requests();
    world.look(&everything()).await.unwrap();
    tokio::time::sleep(seconds(10)).await;
    let leases: Vec<_> = requests(&api).into_iter().filter(|request| request.contains("/leases/")).collect();
    let place = "GET /apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    assert_eq!(leases, [format!("{place}/kube-controller-manager"), format!("{place}/kube-scheduler")]);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_answers_for_the_nodes_alone_is_told_of_within_two_seconds() {
    let api = server();
    let world = world(&api, site()).await;
    api.inject(Fault::on(Method::GET, "/leases/kube-scheduler").hang().always());
    let begun = Instant::now();
    let error = world.look(&everything()).await.unwrap_err();
    assert!(begun.elapsed() <= seconds(2));
    assert_eq!(error.to_string(), "cannot read the lease kube-system/kube-scheduler within 1.5s: no answer");
}

#[tokio::test(start_paused = true)]
async fn an_api_that_takes_long_to_list_the_nodes_is_named() {
    let api = server();
    api.inject(Fault::on(Method::GET, "/nodes").delay(seconds(5)));
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let cluster = cluster(&api).with_notices(move |line| hears.lock().unwrap().push(line.to_owned()));
    World::open(site(), cluster).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["waiting for memory to list the nodes"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_is_judged_by_the_clock_of_the_server_and_by_no_other() {
    use k8s_openapi::api::coordination::v1::Lease;
    use serde_json::json;

    for (what, renewed_ago, holders_clock_is, is_dead) in [
        ("renewed a moment ago", 2, 0, false),
        ("and its clock is an hour behind", 2, -3600, false),
        ("and its clock is an hour ahead", 2, 3600, false),
        ("silent for longer than its lease", 20, 0, true),
        ("and its clock is an hour ahead", 20, 3600, true),
    ] {
        let api = server();
        let name = "kube-system/kube-scheduler";
        api.add(lease(name).held_by("cp2_x").renewed_ago(seconds(renewed_ago)));
        let says = api.clock().now() - seconds(renewed_ago) + jiff::SignedDuration::from_secs(holders_clock_is);
        api.edit::<Lease>(name, json!({"spec": {"renewTime": format!("{says:.6}")}}));
        let facts = world(&api, site()).await.look(&everything()).await.unwrap();
        let found = &facts.leaders["kube-scheduler"];
        assert_eq!(matches!(found, Leadership::Stale(_)), is_dead, "{what}: {found:?}");
    }
}
