//! What is: facts about the cluster and its machines, read at one moment, as plain data. Plans are made from it alone.

pub mod agent;
pub mod apiserver;
pub mod audit;
mod control_plane;
pub mod etcd;
mod fleet;
mod identity;
pub mod leader;
pub mod local;
pub mod node;
pub mod own_pods;
mod unusual;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use self::{
    agent::AgentStatus,
    apiserver::Readiness,
    etcd::{ETCD, Etcd},
    leader::Leadership,
    node::NodeFacts,
};
pub use self::{
    control_plane::{ControlPlaneEvidence, evidence},
    fleet::{Census, Fleet, Worse},
    identity::{Identity, Unproven, nodes_of},
    unusual::{Counts, Unusual},
};

/// The facts that plans are made from.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// The machines that matter here, control plane first, in the site's order.
    pub machines: Vec<Machine>,
    /// Who leads each elected component, by the component's name.
    pub leaders: BTreeMap<String, Leadership>,
    /// Whether each apiserver is ready, by machine.
    pub apiservers: BTreeMap<String, Readiness>,
    /// What the agents of the control plane say of etcd, by machine.
    pub etcd: Etcd,
    /// Nodes that belong to the control plane, by their label or because an apiserver serves at their address, and are none of its
    /// machines, if the scope has the control plane.
    pub unlisted: Vec<String>,
    /// The boot id of the machine on which usher runs; in a pod, of its node. None if it cannot be read.
    #[serde(skip)]
    pub here: Option<String>,
    /// All Nodes of the cluster, if the scope has them.
    #[serde(skip)]
    pub fleet: Option<Fleet>,
    /// Who holds the leases that matter, by the component's name, where nobody asked who leads.
    #[serde(skip)]
    pub holders: BTreeMap<String, Leadership>,
    /// When the facts were read, by this machine's clock.
    #[serde(skip)]
    pub now: Option<Timestamp>,
    /// How far the API server's clock is ahead of this machine's; negative if it is behind, None if no answer showed it.
    #[serde(skip)]
    pub server_ahead: Option<SignedDuration>,
}

/// Which facts to read. Nothing is read that is not named here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The control plane: its machines, its leaders, its apiservers.
    pub control_plane: bool,
    /// These machines: their Nodes, their agents, and whether they are part of the control plane.
    pub machines: BTreeSet<String>,
    /// The Nodes of these machines, and nothing else of them.
    pub nodes: BTreeSet<String>,
    /// All machines: their Nodes and their agents.
    pub all: bool,
    /// How many of all Nodes are in trouble, whatever else is read.
    pub fleet: bool,
    /// Pods will be evicted: who refills their budgets.
    pub evicts: bool,
}

impl Scope {
    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        !self.control_plane && !self.all && self.machines.is_empty() && self.nodes.is_empty()
    }
}

/// A machine: what Kubernetes and what its agent say of it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Its name in the cluster file, else its Node's.
    pub name: String,
    /// Whether it is part of the control plane: somebody listed it, or something on it says so.
    pub control_plane: bool,
    /// Whether it is one of the machines that the cluster file lists as the control plane; where it lists none, whether its Node
    /// had the label when the command began. A control-plane machine that is not listed is missing in every roll.
    pub listed: bool,
    /// What says that it is part of the control plane, as far as that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control_plane_evidence: Vec<ControlPlaneEvidence>,
    /// Its Node, if it is one. A control-plane machine need not be.
    pub node: Option<NodeFacts>,
    /// The Nodes that it could be by their names or addresses, if there are several: then it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rival_nodes: Vec<String>,
    /// What its agent says.
    pub agent: AgentFacts,
    /// How far its agent's clock is ahead of this machine's; negative if it is behind, None if the agent did not tell the time.
    #[serde(skip)]
    pub clock_ahead: Option<SignedDuration>,
}

/// What a machine's agent says.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum AgentFacts {
    Answers {
        status: Box<AgentStatus>,
    },
    /// It does not, or refuses us.
    Silent {
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It was not asked.
    #[default]
    NotAsked,
}

impl AgentFacts {
    /// Its answer, if it gave one.
    pub fn status(&self) -> Option<&AgentStatus> {
        match self {
            Self::Answers { status } => Some(status),
            Self::Silent { .. } | Self::NotAsked => None,
        }
    }
}

impl Inventory {
    /// Whether the apiserver on this machine is not ready for want of the etcd beside it, which a restart of the apiserver does not
    /// mend. One whose own member answers may only have lost it.
    pub fn apiserver_misses_its_etcd(&self, machine: &str) -> bool {
        self.apiservers.get(machine).is_some_and(Readiness::misses_etcd) && self.etcd.member(machine).is_none()
    }

    /// The machine of this name.
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.name == name)
    }

    /// The control-plane machines, in order.
    pub fn control_plane(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.control_plane)
    }

    /// The API server's time when the facts were read; this machine's, where no answer showed it.
    pub fn server_time(&self) -> Option<Timestamp> {
        self.now?.checked_add(self.server_ahead.unwrap_or_default()).ok()
    }

    /// The components that `machine` leads: etcd, then those with a lease in alphabetical order.
    pub fn led_by(&self, machine: &str) -> Vec<&str> {
        let leads = |leadership: &&Leadership| leadership.machine() == Some(machine);
        let elected = self.leaders.iter().filter(|(_, leadership)| leads(leadership)).map(|(name, _)| name.as_str());
        let etcd = self.etcd.leader().filter(|(leader, _)| *leader == machine).map(|_| ETCD);
        etcd.into_iter().chain(elected).collect()
    }

    /// The highest epoch that each agent says it has seen, by machine.
    pub fn epochs(&self) -> BTreeMap<String, u64> {
        let seen = |machine: &Machine| Some((machine.name.clone(), machine.agent.status()?.highest_epoch));
        self.machines.iter().filter_map(seen).collect()
    }
}
