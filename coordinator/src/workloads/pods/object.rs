//! A pod, as far as its row in a table depends on it.

use jiff::Timestamp;
use serde::{Deserialize, de::IgnoredAny};

use crate::workloads::object::{Condition, Object};

pub(in crate::workloads) type Pod = Object<Spec, Status>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Spec {
    pub(in crate::workloads) node_name: Option<String>,
    pub(in crate::workloads) containers: Vec<Container>,
    pub(in crate::workloads) init_containers: Vec<Container>,
    pub(in crate::workloads) readiness_gates: Vec<Gate>,
    pub(in crate::workloads) termination_grace_period_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Container {
    pub(in crate::workloads) name: String,
    pub(in crate::workloads) image: String,
    /// Of an init container: `Always` makes it a sidecar.
    pub(in crate::workloads) restart_policy: Option<String>,
    pub(in crate::workloads) readiness_probe: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Gate {
    pub(in crate::workloads) condition_type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Status {
    pub(in crate::workloads) phase: String,
    pub(in crate::workloads) reason: String,
    pub(in crate::workloads) message: String,
    #[serde(rename = "podIP")]
    pub(in crate::workloads) pod_ip: Option<String>,
    pub(in crate::workloads) conditions: Vec<Condition>,
    pub(in crate::workloads) init_container_statuses: Vec<ContainerStatus>,
    pub(in crate::workloads) container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct ContainerStatus {
    pub(in crate::workloads) name: String,
    pub(in crate::workloads) ready: bool,
    pub(in crate::workloads) started: Option<bool>,
    pub(in crate::workloads) restart_count: u32,
    pub(in crate::workloads) state: State,
    pub(in crate::workloads) last_state: State,
}

/// At most one of them is set.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::workloads) struct State {
    pub(in crate::workloads) waiting: Option<Waiting>,
    pub(in crate::workloads) running: Option<IgnoredAny>,
    pub(in crate::workloads) terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::workloads) struct Waiting {
    pub(in crate::workloads) reason: String,
    pub(in crate::workloads) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::workloads) struct Terminated {
    pub(in crate::workloads) exit_code: i32,
    pub(in crate::workloads) signal: i32,
    pub(in crate::workloads) reason: String,
    pub(in crate::workloads) finished_at: Option<Timestamp>,
}

impl Spec {
    /// The init container of this name, if it is a sidecar: one that runs beside the containers from its start on.
    pub(in crate::workloads) fn is_sidecar(&self, name: &str) -> bool {
        let named = self.init_containers.iter().find(|container| container.name == name);
        named.is_some_and(|container| container.restart_policy.as_deref() == Some("Always"))
    }

    /// Whether the container of this name has a readiness probe.
    pub(in crate::workloads) fn is_probed(&self, name: &str) -> bool {
        let mut all = self.containers.iter().chain(&self.init_containers);
        all.any(|container| container.name == name && container.readiness_probe.is_some())
    }
}

impl Status {
    /// Whether its containers have ended for good.
    pub(in crate::workloads) fn is_finished(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}
