//! A Node of Kubernetes, as far as it matters here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The taint by which an operator declares a machine powered off for good: pods are then deleted by force.
const OUT_OF_SERVICE_TAINT: &str = "node.kubernetes.io/out-of-service";

/// What usher knows of a Node object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeFacts {
    pub name: String,
    /// Its identity: a Node deleted and made anew under the same name is another one.
    pub uid: String,
    /// Whether it carries the label of control-plane Nodes, `node-role.kubernetes.io/control-plane` or the old `…/master`.
    pub control_plane: bool,
    /// Other names of the machine: its Hostname address and its hostname label.
    pub hostnames: Vec<String>,
    /// Its first InternalIP.
    pub internal_ip: Option<String>,
    /// Its other InternalIPs: a machine of two address families has one of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_internal_ips: Vec<String>,
    /// The status of its Ready condition: `True`, `False` or `Unknown`; empty if it has none yet.
    pub ready: String,
    /// The reason and message of that condition, for people.
    pub ready_message: String,
    /// When the kubelet confirmed that condition last, by the node's own clock.
    pub heartbeat: Option<Timestamp>,
    /// Conditions that speak against pods: pressure of memory, disk or processes, a network that is not set up.
    pub troubles: Vec<String>,
    /// Its boot id as the kubelet reported it.
    pub boot_id: String,
    /// The kernel it runs as the kubelet reported it.
    pub kernel: String,
    /// The kubelet's version, such as `v1.37.2`.
    pub kubelet: String,
    /// kube-proxy's version; empty since kubelets no longer tell it (1.33).
    pub kube_proxy: String,
    /// The container runtime and its version, such as `containerd://2.2.1`.
    pub container_runtime: String,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// usher's mark, if usher cordoned it.
    pub mark: Option<CordonMark>,
    /// Who else wrote `spec.unschedulable`, and when, as the API server recorded it.
    pub cordoned_by: Option<FieldWriter>,
    /// Taints that keep pods away or drive them out, as `key:effect`, without the one that mirrors the cordon.
    pub taints: Vec<String>,
}

/// A client that wrote a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldWriter {
    /// The name the client gave itself, such as `kubectl-cordon`.
    pub manager: String,
    /// When it wrote last.
    pub at: Option<Timestamp>,
}

/// Who cordoned a node, for which operation, and why. Kubernetes records nothing of the kind itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CordonMark {
    /// The operation's id.
    pub operation: String,
    /// The command: `cordon`, `drain` or `reboot`.
    pub command: String,
    /// The person, as user@host.
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

impl NodeFacts {
    /// All its InternalIPs, in the Node's own order.
    pub fn internal_ips(&self) -> Vec<String> {
        self.internal_ip.iter().chain(&self.other_internal_ips).cloned().collect()
    }

    /// Whether the kubelet says that it takes pods.
    pub fn is_ready(&self) -> bool {
        self.ready == "True"
    }

    /// Whether an operator declared the machine to be off for good.
    pub fn is_out_of_service(&self) -> bool {
        self.taints.iter().any(|taint| taint.starts_with(OUT_OF_SERVICE_TAINT))
    }
}
