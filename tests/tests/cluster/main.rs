//! What usher reads from a cluster, and how long it takes, whatever is dead or silent in it.

mod credentials;
mod elections;
mod facts;
mod from_its_machine;
mod lock;
mod look;
mod server_name;

use std::time::Duration;

use usher_coordinator::{cluster::Cluster, facts::Scope, site::Site, world::World};
use usher_testkit::apiserver::{
    ApiServer,
    fixtures::{lease, node},
};

pub(crate) const CONTROL_PLANE: [&str; 3] = ["cp1", "cp2", "cp3"];

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Three control-plane machines and two workers; nobody renews the leases, which have just been renewed.
pub(crate) fn server() -> ApiServer {
    let api = ApiServer::bare();
    for name in CONTROL_PLANE {
        api.add(node(name).control_plane());
    }
    api.add(node("w1")).add(node("w2"));
    for component in ["kube-scheduler", "kube-controller-manager"] {
        api.add(lease(&format!("kube-system/{component}")).held_by("cp2_6d6b1c2e-0d4c-4a67-9a52-5a0a51b3d7a1"));
    }
    api
}

pub(crate) fn cluster(api: &ApiServer) -> Cluster {
    Cluster::over(api.client(), "test", "memory")
}

/// A site that lists its control plane.
pub(crate) fn site() -> Site {
    Site { control_plane: CONTROL_PLANE.map(str::to_owned).to_vec(), ..Site::default() }
}

pub(crate) async fn world(api: &ApiServer, site: Site) -> World {
    World::open(site, cluster(api)).await.unwrap()
}

/// These machines: their Nodes and their agents.
pub(crate) fn machines(names: &[&str]) -> Scope {
    Scope { machines: names.iter().map(|&name| name.to_owned()).collect(), ..Scope::default() }
}

/// The requests since the last time that they were forgotten, as `METHOD path`, in alphabetical order.
pub(crate) fn requests(api: &ApiServer) -> Vec<String> {
    let mut requests: Vec<_> = api.requests().iter().map(|call| format!("{} {}", call.method, call.path)).collect();
    requests.sort();
    requests
}
