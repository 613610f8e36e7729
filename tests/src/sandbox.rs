//! A site to try usher on: shipped programs, fake machines. No root, no set-up.
//!
//! Five shipped agents (real gRPC, real mutual TLS) talk to a fake systemd each, over a private D-Bus socket. The API
//! server is the in-memory one over TLS, with an endpoint on each of three control-plane machines and a balancer before
//! them that never retries. Two nodes run the pods of Deployments under a budget. A unit that is restarted takes its
//! endpoint or its lease with it; a machine that reboots comes back with another boot id.
//!
//! ```text
//! usher ── balancer :6443 ──┬── cp1 :6443 ─┐                    cp1 cp2 cp3 w1 w2: usher-agent :7470
//!   │                       ├── cp2 :6443 ─┼─ ApiServer                               │ D-Bus
//!   │                       └── cp3 :6443 ─┘                                     FakeSystemd
//!   └──────────────── gRPC, mutual TLS ───────────────────────────────────────────────┘
//! ```
//!
//! Every machine has an address of its own on loopback, so the usual ports are used. All processes end and all files go
//! with the [`Sandbox`].

mod balancer;
mod components;
mod files;
mod helmfile;
mod machine;
mod network;
mod pair;
mod programs;
mod script;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{
    apiserver::{ApiServer, Election, fixtures},
    pki::{Ca, Names},
};
use balancer::Balancer;
use components::{Component, Kind};
use machine::{Machine, Setup};
use network::Network;

pub use balancer::ask as ask_balancer;
pub use helmfile::helmfile;
pub use pair::Pair;
pub use programs::Programs;
pub use script::demo;

/// The control-plane machines.
const CONTROL_PLANE: [&str; 3] = ["cp1", "cp2", "cp3"];
/// The nodes that run pods.
const WORKERS: [&str; 2] = ["w1", "w2"];

/// Leaders when the sandbox begins: not the same machine, so that the orders differ.
const SCHEDULER_LEADS_ON: &str = "cp2";
const CONTROLLER_MANAGER_LEADS_ON: &str = "cp3";

/// How long the machines say that they have been up.
const CONTROL_PLANE_UP_FOR: Duration = Duration::from_secs(12 * 86_400);
const NODES_UP_FOR: Duration = Duration::from_secs(41 * 86_400);

/// A running sandbox.
pub struct Sandbox {
    api: ApiServer,
    network: Network,
    _machines: Vec<Machine>,
    _balancer: Balancer,
    // Last: the processes use its files until they end.
    folder: TempDir,
}

impl Sandbox {
    /// Starts everything, and returns when the agents answer.
    ///
    /// # Errors
    /// What could not be started, with the last lines of its log.
    pub async fn start(programs: &Programs, control: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("usher-sandbox-").tempdir().context("make a folder")?;
        let (network, front) = Network::claim()?;
        let ca = Ca::new("sandbox")?;
        ca.write(&folder.path().join("ca.pem"))?;
        let operator = Names { common_name: "operator", organisations: &["system:masters"], ..Names::default() };
        ca.client(&operator)?.write(folder.path(), "client")?;

        let api = ApiServer::new();
        let balancer = Balancer::start(front, &folder.path().join("balancer.sock"), network)?;
        let scheduler = Arc::new(Election::releasing(&api, "kube-system/kube-scheduler"));
        let controllers = Arc::new(Election::keeping(&api, "kube-system/kube-controller-manager"));
        let mut machines = Vec::new();
        for name in CONTROL_PLANE.into_iter().chain(WORKERS) {
            let boot_id = machine::new_boot_id()?;
            let components = if WORKERS.contains(&name) {
                add_node(&api, name, network, &boot_id);
                ["containerd.service", "kubelet.service"].map(Component::plain).into()
            } else {
                vec![
                    Component::new("kube-apiserver.service", network::API_PORT, Kind::ApiServer),
                    Component::new("kube-scheduler.service", 10259, Kind::Elected(Arc::clone(&scheduler))),
                    Component::new("kube-controller-manager.service", 10257, Kind::Elected(Arc::clone(&controllers))),
                ]
            };
            machines.push(Machine::start(Setup {
                name,
                boot_id: &boot_id,
                up_for: if WORKERS.contains(&name) { NODES_UP_FOR } else { CONTROL_PLANE_UP_FOR },
                folder: folder.path(),
                network,
                api: &api,
                ca: &ca,
                programs,
                components,
            })?);
        }
        add_workloads(&api);
        files::kubeconfig(folder.path(), network)?;
        files::cluster_file(folder.path(), network, control)?;
        helmfile::write(folder.path(), control)?;
        for machine in &machines {
            machine.await_agent().await?;
        }
        let sandbox = Self { api, network, _machines: machines, _balancer: balancer, folder };
        sandbox.await_leaders(&[&scheduler, &controllers]).await;
        sandbox.await_apiservers().await;
        Ok(sandbox)
    }

    /// The folder with the cluster file, the kubeconfig, certificates and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// URL of the Kubernetes API, through the balancer.
    pub fn url(&self) -> String {
        format!("https://{}:6443", self.network.balancer())
    }

    /// The API server itself, to look behind the scenes or to meddle.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// Waits until each apiserver listens.
    async fn await_apiservers(&self) {
        for machine in CONTROL_PLANE {
            let address = (self.network.address(machine), network::API_PORT);
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits until each election has its first leader and all pods of the workloads are ready.
    async fn await_leaders(&self, elections: &[&Election]) {
        let settled = || {
            let ready = self.api.list::<Pod>().iter().filter(|pod| is_ready(pod)).count();
            elections.iter().all(|election| election.holder().is_some()) && ready >= PODS
        };
        while !settled() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Pods of the workloads below, those of the DaemonSet included.
const PODS: usize = 12 + 4 + 2;

fn add_node(api: &ApiServer, name: &str, network: Network, boot_id: &str) {
    api.add(fixtures::node(name).at(&network.address(name).to_string()).booted(boot_id));
    // Quicker than a real one, so that the proof of a reboot does not take the demo 10 s more.
    api.kubelet(name, |kubelet| kubelet.heartbeat = Duration::from_secs(1));
}

/// Two Deployments, one of them under a budget, the other deployed by Helm, and a DaemonSet.
fn add_workloads(api: &ApiServer) {
    let stop = Duration::from_millis(1500);
    api.add(fixtures::deployment("shop/web").replicas(12).pods_stop_after(stop));
    api.add(fixtures::budget("shop/web").max_unavailable(3));
    api.add(fixtures::deployment("shop/search").replicas(4).pods_stop_after(stop));
    api.add(fixtures::daemon_set("kube-system/cni"));
    api.add(fixtures::helm_revision("shop/search", 12));
}
