//! An apiserver that only its own machine reaches, as where the API has one address before all of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tempfile::TempDir;
use usher_coordinator::{
    facts::{Scope, apiserver::Readiness},
    plan::{gates, make},
    request::{Connection, Eviction, Kind, Reboot, Request},
    site::Site,
    world::World,
};
use usher_testkit::{
    apiserver::{
        ApiServer,
        fixtures::{lease, node},
    },
    pki::{Ca, Names},
    rig::{
        agent::{OTHER, Rig},
        component::Component,
    },
};

use super::cluster;

/// cp1 and cp2, whose agents are one; cp2's is called by another name, so that its apiserver has a URL of its own.
fn site(rig: &Rig, folder: &TempDir) -> Site {
    let alice = Names { common_name: "alice", ..Names::default() };
    let (certificate, key) = rig.ca.client(&alice).unwrap().write(folder.path(), "client").unwrap();
    let port = rig.address().port();
    let mut site = Site { control_plane: vec!["cp1".into(), "cp2".into()], ..Site::default() };
    (site.agents.certificate, site.agents.key, site.agents.ca) = (certificate, key, rig.path().join("ca.pem"));
    site.agents.server_name = "node-1".into();
    site.agents.addresses =
        BTreeMap::from([("cp1".into(), format!("127.0.0.1:{port}")), ("cp2".into(), format!("localhost:{port}"))]);
    site
}

fn server() -> ApiServer {
    let api = ApiServer::bare();
    for name in ["cp1", "cp2"] {
        api.add(node(name).control_plane().booted("boot-1"));
    }
    for component in ["kube-scheduler", "kube-controller-manager"] {
        api.add(lease(&format!("kube-system/{component}")).held_by("cp2_6d6b1c2e-0d4c-4a67-9a52-5a0a51b3d7a1"));
    }
    api
}

fn reboot_of_cp1() -> Request {
    let kind = Kind::Reboot(Reboot {
        machines: vec!["cp1".into()],
        impolite: true,
        keep_cordoned: false,
        handover: None,
        override_blockers: Vec::new(),
        rebalance: false,
        eviction: Eviction::default(),
    });
    Request { kind, reason: "kernel".into(), task_id: None, connection: Connection::default() }
}

#[tokio::test]
async fn an_apiserver_that_only_its_own_machine_reaches_is_what_its_agents_probe_finds() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = Ca::new("cluster").unwrap();
    let is_healthy = Arc::new(AtomicBool::new(true));
    let healthy = Arc::clone(&is_healthy);
    let answer = move |_, request: &str| match request.starts_with("GET /readyz ") && healthy.load(Ordering::SeqCst) {
        true => (200, "ok"),
        false => (500, "[-]etcd failed"),
    };
    let apiserver = Component::serve(&ca.server(&["kubernetes", "127.0.0.1"]).unwrap(), answer).await;
    let probe =
        format!("[units.'{OTHER}'.probe]\nurl = 'https://127.0.0.1:{}/readyz'\nca = 'cluster.pem'\n", apiserver.port);
    let (mut rig, folder) = (Rig::without_agent(&probe), TempDir::new().unwrap());
    ca.write(&rig.path().join("cluster.pem")).unwrap();
    rig.start().await;

    let api = server();
    let client = api.client();
    let from_here = move |url: &str| match url.contains("localhost") {
        true => Err("no route to host".to_owned()),
        false => Ok(client.clone()),
    };
    let world = World::open(site(&rig, &folder), cluster(&api).with_apiservers(from_here)).await.unwrap();
    let scope = Scope { control_plane: true, ..Scope::default() };
    let mut facts = world.look(&scope).await.unwrap();
    let request = reboot_of_cp1();
    let plan = make(&request, &facts, &world.site).unwrap();
    let turn = &plan.turns[0];
    let step = turn.steps.iter().find(|step| step.is_irreversible()).unwrap();

    facts.apiservers = world.apiservers().await;
    assert_eq!(facts.apiservers["cp1"], Readiness::Ready);
    assert_eq!(facts.apiservers["cp2"], Readiness::ByItsAgent { message: "no route to host".into() });
    gates::before_irreversible(step, &request, turn, &facts, &world.site).unwrap();

    is_healthy.store(false, Ordering::SeqCst);
    facts.apiservers = world.apiservers().await;
    let closed = gates::before_irreversible(step, &request, turn, &facts, &world.site).unwrap_err();
    assert_eq!(closed.message, "the apiserver on cp2 is not ready, so cp1 is not touched");
    let [found] = &closed.details[..] else { panic!("{:?}", closed.details) };
    assert!(found.starts_with("cp2: not ready: ") && found.contains("[-]etcd failed (as its agent finds)"), "{found}");
    assert!(apiserver.asked.load(Ordering::SeqCst) >= 2);
}
