//! What was seen, and what was answered.

use serde::Serialize;

use crate::site::LeaseName;

/// What was seen of a cluster.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// The kubeconfig, if a flag named it.
    pub kubeconfig: Option<String>,
    /// The context in use.
    pub context: Option<String>,
    /// What the kubeconfig calls the cluster.
    pub cluster: Option<String>,
    /// The URL of the API.
    pub server: String,
    pub nodes: Vec<NodeSeen>,
    /// Where each apiserver says that it is, as `HOST:PORT`.
    pub apiservers: Vec<ApiServerSeen>,
    /// The leases of elections in `kube-system`.
    pub leases: Vec<LeaseSeen>,
    /// What listens on the agents' port of each machine.
    pub agents: Vec<AgentSeen>,
}

/// A Node.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSeen {
    pub name: String,
    pub address: Option<String>,
    /// Whether it has the label of control-plane Nodes.
    pub labelled: bool,
}

/// An apiserver.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiServerSeen {
    pub host: String,
    pub port: u16,
    /// The DNS names in its certificate.
    pub names: Vec<String>,
}

/// A lease that components elect a leader through.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseSeen {
    pub lease: LeaseName,
    /// The host name in its holder's identity; empty if nobody holds it.
    pub host: String,
}

/// What listens where an agent should be.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSeen {
    pub machine: String,
    /// The DNS names in its certificate; empty if nothing answers.
    pub names: Vec<String>,
    /// The units that it offers, if it answered.
    pub units: Vec<String>,
}

/// What only the operator knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    pub name: String,
    /// The client certificate, its key and the agents' CA.
    pub certificate: String,
    pub key: String,
    pub ca: String,
    /// Commands of the load balancer; empty if there are none.
    pub depool: Vec<String>,
    pub pool: Vec<String>,
}
