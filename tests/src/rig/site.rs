//! A whole site in this process, on one thread and on paused time: the API server in memory, real agents over in-memory
//! streams on a fake systemd each, what their units are to the cluster, and a balancer's pool kept in files.
//!
//! ```text
//! usher's library ──┬── Journaled ── ApiServer ── Instance (cp1 cp2 cp3) ──┐
//!                   ├── Dial ── stream ── usher-agent's library ── D-Bus ── FakeSystemd (cp1 cp2 cp3 w1 w2)
//!                   └── depool, pool, check ── files
//! ```
//!
//! What the world sees of an operation stands in one [`Journal`], in its order: cordons, evictions, leases, jobs of units,
//! reboots, pool commands. What the operator sees is in [`Ended`].

mod door;
mod journal;
mod life;
mod machine;
mod operation;
mod pool;
mod ports;
mod still;

use std::{cell::Cell, collections::BTreeMap, io, time::Duration};

use k8s_openapi::api::core::v1::{Node, Pod};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use usher_coordinator::{
    agents::Dial,
    cluster::Cluster,
    site::{AgentAccess, LoadBalancer, PoolCommands, Site},
};

use crate::{
    apiserver::{ApiServer, Election, Instance, fixtures},
    etcd::FakeEtcd,
};
pub use journal::Journal;
pub(crate) use machine::Hands;
pub use machine::{ETCD, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, Machine};
use machine::{Kind, Setup};
pub(crate) use operation::operate;
pub use operation::{Change, Ended, Then, cordon, drain, rebalance, reboot, restart, restart_wanted, uncordon};
pub use pool::Pool;
pub use ports::Ports;

/// The machines of the control plane. All are Nodes as well.
pub const CONTROL_PLANE: [&str; 3] = ["cp1", "cp2", "cp3"];
/// The Nodes that run pods.
pub const WORKERS: [&str; 2] = ["w1", "w2"];
/// Who leads at first.
pub const SCHEDULER_LEADS_ON: &str = "cp2";
/// Another machine than the scheduler's, so that the orders of both differ.
pub const CONTROLLER_MANAGER_LEADS_ON: &str = "cp3";

/// Replicas of `shop/web`, whose budget lets one go at a time.
const REPLICAS: u32 = 4;
/// Leaders are elected and pods run long before this.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// See the module.
pub struct TestSite {
    /// The cluster behind the scenes.
    pub api: ApiServer,
    /// What the world has seen.
    pub journal: Journal,
    /// The balancer's pool; used once the site's settings name its commands.
    pub pool: Pool,
    /// The members of etcd on the control plane, where the site has them.
    pub etcd: Option<FakeEtcd>,
    /// The ports of the apiservers, where the site has them.
    pub ports: Option<Ports>,
    /// What the cluster file would say.
    pub settings: Site,
    machines: BTreeMap<&'static str, Machine>,
    /// How many operations there were.
    operations: Cell<usize>,
    _folder: TempDir,
}

/// What not every site has.
#[derive(Default)]
struct More<'a> {
    etcd: Option<FakeEtcd>,
    /// The name of the first leader of kube-controller-manager.
    alias: Option<&'a str>,
    ports: Option<Ports>,
}

impl TestSite {
    /// A site that has settled: each election has its leader, all pods run, every agent answers.
    pub async fn start() -> Self {
        Self::start_with(More::default()).await
    }

    /// The same whose first leader of kube-controller-manager has this name in the Lease, which fits no machine.
    pub async fn with_leader_of_unknown_name(name: &str) -> Self {
        Self::start_with(More { alias: Some(name), ..More::default() }).await
    }

    /// The same with a member of etcd on each control-plane machine, which its agent knows. That of cp1 leads.
    pub async fn with_etcd() -> Self {
        Self::start_with(More { etcd: Some(FakeEtcd::new(&CONTROL_PLANE)), ..More::default() }).await
    }

    /// The same with a port of each apiserver, which its agent probes after a start.
    pub async fn with_probes() -> Self {
        Self::start_with(More { ports: Some(Ports::new()), ..More::default() }).await
    }

    async fn start_with(more: More<'_>) -> Self {
        let More { etcd, alias, ports } = more;
        let folder = TempDir::new().unwrap();
        let journal = Journal::create(&folder.path().join("journal"));
        let api = ApiServer::new();
        let scheduler = Election::releasing(&api, "kube-system/kube-scheduler");
        let controllers = Election::keeping(&api, "kube-system/kube-controller-manager");
        let controllers = match alias {
            Some(name) => controllers.with_alias(CONTROLLER_MANAGER_LEADS_ON, name),
            None => controllers,
        };
        let mut machines = BTreeMap::new();
        for (number, name) in CONTROL_PLANE.into_iter().chain(WORKERS).enumerate() {
            let control_plane = CONTROL_PLANE.contains(&name);
            let components = if control_plane {
                let etcd = etcd.iter().map(|etcd| (ETCD, Kind::Etcd(etcd.clone())));
                let mut components = vec![
                    (KUBE_APISERVER, Kind::ApiServer(api.instance())),
                    (KUBE_SCHEDULER, Kind::Elected(scheduler.clone(), name == SCHEDULER_LEADS_ON)),
                    (KUBE_CONTROLLER_MANAGER, Kind::Elected(controllers.clone(), name == CONTROLLER_MANAGER_LEADS_ON)),
                ];
                components.extend(etcd);
                components
            } else {
                vec![("containerd.service", Kind::Plain), ("kubelet.service", Kind::Plain)]
            };
            let node = fixtures::node(name).at(&format!("10.77.0.{}", number + 1)).booted(&life::boot_id(name, 1));
            api.add(if control_plane { node.control_plane() } else { node });
            let ports = ports.as_ref();
            let setup = Setup { name, number, folder: folder.path(), api: &api, journal: &journal, components, ports };
            machines.insert(name, Machine::start(setup).await);
        }
        api.add(fixtures::deployment("shop/web").replicas(REPLICAS));
        api.add(fixtures::budget("shop/web").max_unavailable(1));
        api.add(fixtures::daemon_set("kube-system/cni"));
        let pool = Pool::create(folder.path(), &journal, &CONTROL_PLANE);
        let site = Self {
            api,
            journal,
            pool,
            etcd,
            ports,
            settings: settings(),
            machines,
            operations: Cell::new(0),
            _folder: folder,
        };
        timeout(SETTLES_WITHIN, site.settled(&[scheduler, controllers])).await.expect("a site that settles");
        site.api.forget_requests();
        site
    }

    /// The same with a balancer before the apiservers, whose commands are [`Pool`]'s.
    pub async fn with_pool() -> Self {
        let mut site = Self::start().await;
        site.settings.load_balancer = Some(balancer(&site.pool));
        site
    }

    /// The same with a balancer that passes TLS through and keeps each client on one server: usher on that of this machine.
    pub async fn with_sticky_balancer(machine: &str) -> Self {
        let mut site = Self::with_probes().await;
        site.ports.iter().for_each(|ports| ports.keep_clients("balancer", machine));
        let url = Some("https://balancer:6443".to_owned());
        // Each new connection is a real handshake.
        let pool_timeout = Duration::from_secs(5);
        site.settings.load_balancer = Some(LoadBalancer { url, pool_timeout, ..balancer(&site.pool) });
        site
    }

    /// Changes the balancer's commands.
    pub fn command(&mut self, change: impl FnOnce(&mut PoolCommands)) {
        change(&mut self.settings.load_balancer.as_mut().unwrap().commands);
    }

    /// One of the machines.
    pub fn machine(&self, name: &str) -> &Machine {
        &self.machines[name]
    }

    /// All machines by name.
    pub fn machine_names(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        self.machines.keys().copied()
    }

    /// Who holds the Lease of a component: the machine, or nothing.
    pub fn leader(&self, component: &str) -> String {
        let lease = self.api.get::<k8s_openapi::api::coordination::v1::Lease>(&format!("kube-system/{component}"));
        let holder = lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default();
        holder.split('_').next().unwrap_or_default().to_owned()
    }

    /// Whether nobody holds usher's lock.
    pub fn lock_is_free(&self) -> bool {
        self.leader("usher").is_empty()
    }

    /// The Nodes that are cordoned, in alphabetical order.
    pub fn cordoned(&self) -> Vec<String> {
        let cordoned = |node: &Node| node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
        let nodes = self.api.list::<Node>().into_iter().filter(cordoned);
        nodes.filter_map(|node| node.metadata.name).collect()
    }

    /// How many pods of `shop/web` a Node has.
    pub fn pods_on(&self, node: &str) -> usize {
        let there = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
        let pods = self.api.list::<Pod>();
        pods.iter().filter(|pod| pod.metadata.namespace.as_deref() == Some("shop") && there(pod)).count()
    }

    /// The units that do not run, as `MACHINE UNIT`.
    pub fn units_down(&self) -> Vec<String> {
        let down = self.machines.iter().flat_map(|(name, machine)| {
            let units = machine.systemd.units().into_iter();
            let down = units.filter(|unit| machine.systemd.unit(unit).active_state != "active");
            down.map(move |unit| format!("{name} {unit}"))
        });
        down.collect()
    }

    /// The API as usher reaches it: through the balancer, and each apiserver for itself.
    fn cluster(&self) -> Cluster {
        let apiservers: BTreeMap<String, kube::Client> = self
            .machines
            .iter()
            .filter_map(|(name, machine)| Some((format!("https://{name}:6443"), machine.apiserver()?.client())))
            .collect();
        Cluster::over(self.journal.client(&self.api), "test", "memory")
            .with_apiservers(move |url| apiservers.get(url).cloned().ok_or_else(|| format!("nobody is at {url}")))
    }

    /// The way to the agents, and to the ports of apiservers.
    fn dial(&self) -> Dial {
        let doors: BTreeMap<String, _> =
            self.machines.iter().map(|(name, machine)| (format!("{name}:7470"), machine.door())).collect();
        let ports = self.ports.clone();
        Dial::over(move |address| {
            let (door, port) = (doors.get(&address).cloned(), ports.as_ref().and_then(|ports| ports.open(&address)));
            async move {
                if let Some(port) = port {
                    return Ok(port);
                }
                let door = door.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such machine"))?;
                door.open()
            }
        })
        .without_tls()
    }

    async fn settled(&self, elections: &[Election]) {
        let settled = || {
            let running = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
            let pods = self.api.list::<Pod>();
            let pods_run = pods.iter().filter(|pod| running(pod)).count() == REPLICAS as usize + self.machines.len();
            let mut apiservers = self.machines.values().filter_map(Machine::apiserver);
            pods_run
                && apiservers.all(Instance::is_ready)
                && elections.iter().all(|election| election.holder().is_some())
        };
        while !settled() {
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// A balancer whose commands are those of the pool.
fn balancer(pool: &Pool) -> LoadBalancer {
    LoadBalancer {
        pool_timeout: Duration::from_secs(60),
        url: None,
        commands: pool.commands(),
        machines: BTreeMap::new(),
        command_timeout: Duration::from_secs(30),
        settle: Duration::from_secs(1),
        shutdown_delay_covers_checks: false,
    }
}

/// A cluster file with nothing in it but addresses.
fn settings() -> Site {
    let plain = Site::default();
    Site {
        name: Some("test".to_owned()),
        control_plane: CONTROL_PLANE.map(str::to_owned).to_vec(),
        agents: AgentAccess { address: Some("{node}:7470".to_owned()), ..plain.agents },
        ..plain
    }
}
