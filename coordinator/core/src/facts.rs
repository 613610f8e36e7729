//! What is: facts about the cluster and its machines, read at one moment, as plain data. Plans are made from it alone.

pub mod agent;
pub mod apiserver;
pub mod leader;
pub mod node;

use std::collections::BTreeMap;

use serde::Serialize;

use self::{agent::NodeStatus, apiserver::Readiness, leader::Leadership, node::NodeFacts};

/// The facts that plans are made from.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// The machines that matter here, control plane first, in the site's order.
    pub machines: Vec<Machine>,
    /// Who leads each elected component, by the component's name.
    pub leaders: BTreeMap<String, Leadership>,
    /// Whether each apiserver is ready, by machine.
    pub apiservers: BTreeMap<String, Readiness>,
}

/// A machine: what Kubernetes and what its agent say of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Whether it runs the control plane.
    pub control_plane: bool,
    /// Its Node, if it is one. A control-plane machine need not be.
    pub node: Option<NodeFacts>,
    /// What its agent says.
    pub agent: AgentFacts,
}

/// What a machine's agent says.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum AgentFacts {
    /// It answers.
    Answers {
        /// What.
        status: Box<NodeStatus>,
    },
    /// It does not, or refuses us.
    Silent {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It was not asked.
    NotAsked,
}

impl AgentFacts {
    /// Its answer, if it gave one.
    pub fn status(&self) -> Option<&NodeStatus> {
        match self {
            Self::Answers { status } => Some(status),
            Self::Silent { .. } | Self::NotAsked => None,
        }
    }
}

impl Inventory {
    /// The machine of this name.
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.name == name)
    }

    /// The control-plane machines, in order.
    pub fn control_plane(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.control_plane)
    }

    /// The components that `machine` leads, in alphabetical order.
    pub fn led_by(&self, machine: &str) -> Vec<&str> {
        let leads = |leadership: &&Leadership| leadership.machine() == Some(machine);
        self.leaders.iter().filter(|(_, leadership)| leads(leadership)).map(|(name, _)| name.as_str()).collect()
    }

    /// The highest epoch that any agent has seen.
    pub fn highest_epoch(&self) -> u64 {
        self.machines.iter().filter_map(|machine| Some(machine.agent.status()?.highest_epoch)).max().unwrap_or_default()
    }
}
