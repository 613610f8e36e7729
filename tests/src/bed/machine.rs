//! The five machines: names, addresses, roles.

use anyhow::Context;

/// What a machine is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs etcd and the control plane; is no Node.
    ControlPlane,
    /// Runs the kubelet and containers; is a Node.
    Worker,
}

/// One machine of the bed.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    /// Host name, Node name and DNS name in its certificates.
    pub name: &'static str,
    /// Its address on the bed's bridge.
    pub address: &'static str,
    /// What it runs.
    pub role: Role,
    /// The release of Debian on its disk. The workers differ: systemd 252 on one, 257 on the other.
    pub debian: &'static str,
}

impl Machine {
    /// The host's end of its network cable.
    pub fn link(&self) -> String {
        format!("vb-{}", self.name)
    }

    /// Where its agent listens.
    pub fn agent(&self) -> String {
        format!("{}:7470", self.address)
    }
}

/// All machines, control planes first.
pub static MACHINES: [Machine; 5] = [
    Machine { name: "cp1", address: "10.77.0.11", role: Role::ControlPlane, debian: "bookworm" },
    Machine { name: "cp2", address: "10.77.0.12", role: Role::ControlPlane, debian: "bookworm" },
    Machine { name: "cp3", address: "10.77.0.13", role: Role::ControlPlane, debian: "bookworm" },
    Machine { name: "w1", address: "10.77.0.21", role: Role::Worker, debian: "bookworm" },
    Machine { name: "w2", address: "10.77.0.22", role: Role::Worker, debian: "trixie" },
];

/// The machines of the control plane.
pub static CONTROL_PLANES: &[Machine] = MACHINES.split_at(3).0;
/// The machines that are Nodes.
pub static WORKERS: &[Machine] = MACHINES.split_at(3).1;

/// The machine of this name.
///
/// # Errors
/// If there is none, with the names there are.
pub fn machine(name: &str) -> anyhow::Result<&'static Machine> {
    MACHINES.iter().find(|machine| machine.name == name).with_context(|| {
        let names: Vec<_> = MACHINES.iter().map(|machine| machine.name).collect();
        format!("the bed has no machine {name:?}, only {}", names.join(", "))
    })
}
