//! A cluster of any size in memory.

use usher_testkit::{
    apiserver::{
        ApiServer, Election,
        fixtures::{NodeFixture, budget, node, pod},
    },
    stub_agents::boot_id,
};

/// The machines of the control plane. They are Nodes as well.
pub(crate) const CONTROL_PLANE: [&str; 3] = ["cp1", "cp2", "cp3"];

/// How many racks the nodes stand in.
pub(crate) const RACKS: usize = 16;

/// How many namespaces the pods live in, each under one budget.
const NAMESPACES: usize = 50;

pub(crate) fn worker(number: usize) -> String {
    format!("w{number:04}")
}

fn machine(name: &str) -> NodeFixture {
    let zone = format!("zone-{}", name.len() % 3);
    let labels = [
        ("topology.kubernetes.io/zone", zone.as_str()),
        ("topology.kubernetes.io/region", "north"),
        ("node.kubernetes.io/instance-type", "r7525"),
        ("kubernetes.io/arch", "amd64"),
    ];
    let annotations = [
        ("node.alpha.kubernetes.io/ttl", "0"),
        ("volumes.kubernetes.io/controller-managed-attach-detach", "true"),
        ("projectcalico.org/IPv4Address", "10.64.16.12/22"),
    ];
    let plain = labels
        .iter()
        .fold(node(name).at("127.0.0.1").booted(&boot_id(name, 1)), |node, (key, value)| node.labelled(key, value));
    annotations.iter().fold(plain, |node, (key, value)| node.annotated(key, value))
}

/// Control plane, and this many workers. `alive` nodes have kubelets.
pub(crate) fn add_nodes(api: &ApiServer, workers: usize, alive: bool) {
    let of = |node: NodeFixture| if alive { node } else { node.without_kubelet() };
    api.add_all(CONTROL_PLANE.map(|name| of(machine(name).control_plane())));
    let worker = |number: usize| of(machine(&worker(number)).labelled("rack", &format!("r{}", number % RACKS)));
    api.add_all((0..workers).map(worker));
}

/// This many pods of ReplicaSets that nobody looks after, spread over the workers, under a budget in each namespace.
pub(crate) fn add_pods(api: &ApiServer, workers: usize, pods: usize) {
    let place = |number: usize| format!("team-{}/web-{number:05}", number % NAMESPACES);
    api.add_all((0..pods).map(|number| pod(&place(number)).on(&worker(number % workers)).owned_by_replica_set("web")));
    let budgets = (0..NAMESPACES).map(|number| {
        let healthy = i64::try_from(pods / NAMESPACES).unwrap_or(i64::MAX);
        budget(&format!("team-{number}/web")).max_unavailable(10).counted(healthy, healthy - 10, 10)
    });
    api.add_all(budgets);
}

/// Leaders that renew their leases for as long as these are kept.
pub(crate) fn elect(api: &ApiServer) -> [usher_testkit::apiserver::Candidate; 2] {
    let scheduler = Election::releasing(api, "kube-system/kube-scheduler");
    let controllers = Election::keeping(api, "kube-system/kube-controller-manager");
    [scheduler.start(CONTROL_PLANE[1]), controllers.start(CONTROL_PLANE[2])]
}
