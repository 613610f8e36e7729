//! A site: what the cluster file says, validated, with every default filled in.
//!
//! Plain data. The coordinator's reader of the cluster file makes it from TOML and alone knows about files, lines and keys.

mod api;
mod choice;
mod environment;
mod metrics;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Serialize;

pub use self::{
    api::{ApiAccess, NoUser, Way},
    choice::{Choice, ChosenBy, Known, NoChoice, choose, clashes},
    environment::{Shell, Variable, environment},
    metrics::Metrics,
};
pub use crate::facts::etcd::ETCD;
use crate::{
    drain::DrainPolicy,
    helmfile::Helmfile,
    versions::{Support, Targets},
};

/// Everything usher knows about a site before it talks to anyone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Site {
    /// The cluster's name, as the operator types it to confirm. Default: the kubeconfig context's cluster.
    pub name: Option<String>,
    /// Other names by which operators call it.
    pub aliases: Vec<String>,
    /// What it is for, such as `staging`; shown and filled in, never decided by.
    pub realm: Option<String>,
    /// Where it is.
    pub data_centre: Option<String>,
    /// Variables for shells, by name: templates in which placeholders may stand.
    pub env: BTreeMap<String, String>,
    /// How the Kubernetes API is reached.
    pub api: ApiAccess,
    /// The control-plane machines by name, in the order in which they are restarted when nothing else decides. Empty: the
    /// Nodes with the label `node-role.kubernetes.io/control-plane`.
    pub control_plane: Vec<String>,
    /// How agents are reached.
    pub agents: AgentAccess,
    /// The control plane's components, in the order in which `usher status` shows them.
    pub components: Vec<Component>,
    /// The balancer before the apiservers, if one is described.
    pub load_balancer: Option<LoadBalancer>,
    /// What every drain leaves alone, awaits, or puts in order.
    pub drain: DrainPolicy,
    /// How its Helmfile services are rolled.
    pub helmfile: Helmfile,
    /// Which versions the site wants.
    pub versions: Versions,
    /// Where changes tell of themselves for Prometheus.
    pub metrics: Metrics,
    /// Durations and counts that flags override.
    pub defaults: Defaults,
}

/// What `usher versions` holds the site's versions against, beside Kubernetes' own policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// By project (`kubernetes`, `etcd`, `containerd`, `usher`), a series such as `1.37` or a whole version.
    pub targets: Targets,
    /// Ends of support that differ from the projects' own, as a vendor's.
    pub support: Support,
}

/// How an agent is found and how both sides prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentAccess {
    /// Port of the agent when the address is the Node's InternalIP.
    pub port: u16,
    /// `HOST:PORT` with `{node}` for the machine's name, for all machines without an address of their own.
    pub address: Option<String>,
    /// `HOST:PORT` of single machines, by name. Wins over `address`.
    pub addresses: BTreeMap<String, String>,
    /// The name that the agent's certificate must carry (DNS SAN), with `{node}` for the machine's name.
    pub server_name: String,
    /// Client certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// CA that signed the agents' certificates, PEM.
    pub ca: PathBuf,
}

/// A named unit of the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Component {
    /// The name operators use: `kube-scheduler`.
    pub name: String,
    /// The systemd unit on each control-plane machine.
    pub unit: String,
    /// What the component is to usher.
    pub role: Role,
}

/// How a component takes part in the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves the API; all instances are active. The URL of one instance without a path, with `{address}` for the host of
    /// the machine (from its agent's address) and `{node}` for its name.
    ApiServer {
        /// For example `https://{address}:6443`.
        url: String,
        /// The name that the certificate of one instance must carry, with `{node}` for the machine's name. None: as the
        /// kubeconfig says for all, else the host in its URL.
        server_name: Option<String>,
    },
    /// A member of etcd: all have a vote, and one leads. Its state is asked of the machine's agent.
    Etcd,
    /// One instance leads, elected through a Lease.
    Elected {
        /// Namespace of the Lease and, on old clusters, of the Endpoints with the annotation.
        namespace: String,
        /// Name of the Lease.
        lease: String,
        /// Whether the component keeps its Lease when it ends on SIGTERM, so that a hand-over saves the wait for its
        /// expiry. True for kube-controller-manager (up to 1.37 its release on exit is an alpha feature, off).
        keeps_lease: bool,
    },
    /// Runs with `--leader-elect=false`: every instance works, and there is no Lease. Nobody takes over while one restarts.
    Unelected,
}

/// Where an election's record lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeaseName {
    /// The namespace, mostly `kube-system`.
    pub namespace: String,
    /// The Lease's name; on old clusters also that of the Endpoints with the annotation.
    pub name: String,
}

impl std::fmt::Display for LeaseName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Component {
    /// Where the component's election is recorded; None if it has none.
    pub fn lease(&self) -> Option<LeaseName> {
        match &self.role {
            Role::Elected { namespace, lease, .. } => {
                Some(LeaseName { namespace: namespace.clone(), name: lease.clone() })
            }
            Role::ApiServer { .. } | Role::Etcd | Role::Unelected => None,
        }
    }

    /// Whether its holder keeps its Lease when it ends on SIGTERM.
    pub fn keeps_lease(&self) -> bool {
        matches!(self.role, Role::Elected { keeps_lease: true, .. })
    }

    /// Whether the component is etcd.
    pub fn is_etcd(&self) -> bool {
        matches!(self.role, Role::Etcd)
    }

    /// Whether the component serves the API.
    pub fn is_apiserver(&self) -> bool {
        matches!(self.role, Role::ApiServer { .. })
    }
}

/// The load balancer before the apiservers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadBalancer {
    /// `https://HOST:PORT` that clients use; new connections to it show which apiservers are in rotation. Unset: no such check.
    pub url: Option<String>,
    /// The site's own commands, for every control-plane machine.
    pub commands: PoolCommands,
    /// Commands of single machines, by name; each that is set wins over `commands`.
    pub machines: BTreeMap<String, PoolCommands>,
    /// How long one command may take.
    pub command_timeout: Duration,
    /// How long the balancer may take to put a change of the pool into effect.
    pub pool_timeout: Duration,
    /// How long connections already handed to the machine are given after `depool`.
    pub settle: Duration,
    /// The site vouches that the apiservers' shutdown delay outlasts the balancer's checks, so that no depool is needed.
    pub shutdown_delay_covers_checks: bool,
}

/// Commands around each apiserver restart: arguments as a list, no shell, with `{node}` and `{address}` filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PoolCommands {
    /// Takes the machine out of the pool.
    pub depool: Option<Vec<String>>,
    /// Puts it back.
    pub pool: Option<Vec<String>>,
    /// Exits with 0 if the machine is in the pool and serving, with 1 if it is out. Any other end says that the command could not tell.
    pub check: Option<Vec<String>>,
}

impl LoadBalancer {
    /// The commands for one machine: its own where it has them, else those for all.
    pub fn commands_for(&self, machine: &str) -> PoolCommands {
        let own = self.machines.get(machine).cloned().unwrap_or_default();
        PoolCommands {
            depool: own.depool.or_else(|| self.commands.depool.clone()),
            pool: own.pool.or_else(|| self.commands.pool.clone()),
            check: own.check.or_else(|| self.commands.check.clone()),
        }
    }

    /// Whether requests can be kept from `machine` while its apiserver is down.
    pub fn can_depool(&self, machine: &str) -> bool {
        self.commands_for(machine).depool.is_some()
    }

    /// Whether it can be seen that `machine` is back in rotation, or put there.
    pub fn can_pool(&self, machine: &str) -> bool {
        let commands = self.commands_for(machine);
        commands.pool.is_some() || commands.check.is_some() || self.url.is_some()
    }
}

/// What flags override.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Defaults {
    /// Wait between an apiserver that is ready again and the next.
    pub gap: Duration,
    /// A leader must be seen to renew within this time.
    pub lease_timeout: Duration,
    /// How long a unit's restart with its probe may take, seen from here.
    pub restart_timeout: Duration,
    /// How long an apiserver may take from its unit's start until it is ready.
    pub apiserver_timeout: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long a machine may take from the reboot call until its agent answers with a new boot id.
    pub reboot_timeout: Duration,
    /// How long a Node may take from its new boot to Ready.
    pub ready_timeout: Duration,
    /// For how long a rebooted Node must stay Ready before it is uncordoned.
    pub settle: Duration,
    /// Whether the Lease of a component that keeps it is handed over.
    pub handover: bool,
}

impl Site {
    /// Whether operators call it so: by its name or an alias.
    pub fn is_called(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }

    /// What operators call it: its name, then its aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.name.iter().chain(&self.aliases).map(String::as_str)
    }

    /// etcd, unless somebody else runs it.
    pub fn etcd(&self) -> Option<&Component> {
        self.components.iter().find(|component| component.is_etcd())
    }

    /// The component that counts disruption budgets anew when pods come and go, and makes their successors.
    pub fn refills_budgets(&self) -> Option<&Component> {
        self.component("kube-controller-manager")
    }

    /// The component with this name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name == name)
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            // Long enough for watches and kept connections to find another apiserver before the next one goes: client-go
            // reconnects a broken watch within a few seconds, with jitter and back-off.
            gap: Duration::from_secs(10),
            // An expired lease is taken 13 to 23 s after its holder ended (leaseDuration 15 s, polled each 2 to 4.4 s).
            lease_timeout: Duration::from_secs(60),
            restart_timeout: Duration::from_secs(5 * 60),
            // Ready within seconds; a large one fills its watch caches for minutes.
            apiserver_timeout: Duration::from_secs(2 * 60),
            drain_timeout: Duration::from_secs(10 * 60),
            // Firmware of large servers alone takes minutes.
            reboot_timeout: Duration::from_secs(20 * 60),
            ready_timeout: Duration::from_secs(10 * 60),
            // More than one node status interval (10 s) and one pass of the node-lifecycle controller (5 s).
            settle: Duration::from_secs(15),
            handover: true,
        }
    }
}

impl Default for Site {
    /// What usher assumes where no cluster file says otherwise: a plain three-node control plane.
    fn default() -> Self {
        let elected = |name: &str, keeps_lease| Component {
            name: name.to_owned(),
            unit: format!("{name}.service"),
            role: Role::Elected { namespace: "kube-system".to_owned(), lease: name.to_owned(), keeps_lease },
        };
        Self {
            name: None,
            aliases: Vec::new(),
            realm: None,
            data_centre: None,
            env: BTreeMap::new(),
            api: ApiAccess::default(),
            control_plane: Vec::new(),
            agents: AgentAccess::default(),
            components: vec![
                Component {
                    name: "kube-apiserver".to_owned(),
                    unit: "kube-apiserver.service".to_owned(),
                    role: Role::ApiServer { url: "https://{address}:6443".to_owned(), server_name: None },
                },
                elected("kube-controller-manager", true),
                elected("kube-scheduler", false),
                Component { name: ETCD.to_owned(), unit: "etcd.service".to_owned(), role: Role::Etcd },
            ],
            load_balancer: None,
            drain: DrainPolicy::default(),
            helmfile: Helmfile::default(),
            versions: Versions::default(),
            metrics: Metrics::default(),
            defaults: Defaults::default(),
        }
    }
}

impl Default for AgentAccess {
    fn default() -> Self {
        let file = |name: &str| PathBuf::from("/etc/usher").join(name);
        Self {
            port: 7470,
            address: None,
            addresses: BTreeMap::new(),
            server_name: "{node}".to_owned(),
            certificate: file("client.pem"),
            key: file("client-key.pem"),
            ca: file("ca.pem"),
        }
    }
}
