//! The bed's two authorities and everything they sign: Kubernetes' own, and the one of usher's agents and clients.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;
use rcgen::KeyPair;

use super::{Folder, MACHINES, Machine, Role, SANDBOX_ADDRESS, nspawn::PKI, template::fill};
use crate::pki::{Ca, Names};

const KUBECONFIG: &str = include_str!("../../machines/config/kubeconfig.yaml");
/// The first address of the service range: what pods call the API.
const SERVICE_ADDRESS: &str = "10.96.0.1";

/// Who talks to the agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Listed as operator.
    Operator,
    /// Listed as viewer.
    Viewer,
    /// Signed by the right authority, listed nowhere.
    Stranger,
    /// Says that it is the operator, signed by another authority.
    Impostor,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Viewer, Self::Stranger, Self::Impostor];

    /// The name of its files in the bed's PKI folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Stranger => "stranger",
            Self::Impostor => "impostor",
        }
    }
}

/// Which of an agent's certificates: each has a second one in the drawer, so that a renewal can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The one it is installed with.
    First,
    /// The one that a renewal brings.
    Second,
}

impl Generation {
    /// The name of a machine's files in the bed's PKI folder.
    pub(super) fn of(self, machine: &Machine) -> String {
        match self {
            Self::First => format!("agent-{}", machine.name),
            Self::Second => format!("agent-{}-renewed", machine.name),
        }
    }
}

/// Makes all certificates and kubeconfigs of a new bed.
pub(super) fn issue(folder: &Folder) -> anyhow::Result<()> {
    let kubernetes = Ca::new("bed-kubernetes")?;
    let service_account = KeyPair::generate()?;
    for machine in &MACHINES {
        let pki = folder.machine_pki(machine);
        kubernetes.write(&pki.join("ca.pem"))?;
        match machine.role {
            Role::ControlPlane => control_plane(&kubernetes, machine, &pki, &service_account)?,
            Role::Worker => worker(&kubernetes, machine, &pki)?,
        }
        hide_secrets(&pki)?;
    }

    let pki = folder.pki();
    kubernetes.write(&pki.join("ca.pem"))?;
    client(&kubernetes, "admin", Some("system:masters"))?.write(&pki, "admin")?;
    let balancer = format!("https://{SANDBOX_ADDRESS}:6443");
    fs::write(folder.kubeconfig(), kubeconfig("admin", &balancer, &pki)?)?;
    client(&kubernetes, "etcdctl", None)?.write(&pki, "etcd-client")?;
    // A name of its own keeps kwok out of the audit logs.
    client(&kubernetes, "kwok", Some("system:masters"))?.write(&pki, "kwok")?;
    fs::write(pki.join("kwok.kubeconfig"), kubeconfig("kwok", &balancer, &pki)?)?;
    agents(&pki)?;
    hide_secrets(&pki)
}

/// Each apiserver has a certificate of its own, so that a new connection shows which one the balancer has chosen.
fn control_plane(authority: &Ca, machine: &Machine, pki: &Path, service_account: &KeyPair) -> anyhow::Result<()> {
    let names = [
        machine.name,
        machine.address,
        SANDBOX_ADDRESS,
        SERVICE_ADDRESS,
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    authority.server(&names)?.write(pki, "apiserver")?;
    client(authority, "kubelet-client", Some("system:masters"))?.write(pki, "kubelet-client")?;
    authority.peer(&[machine.name, machine.address, "127.0.0.1", "localhost"])?.write(pki, "etcd")?;
    client(authority, "kube-apiserver-etcd-client", None)?.write(pki, "etcd-client")?;
    fs::write(pki.join("service-account.pem"), service_account.public_key_pem())?;
    fs::write(pki.join("service-account-key.pem"), service_account.serialize_pem())?;
    for user in ["controller-manager", "scheduler"] {
        client(authority, &format!("system:kube-{user}"), None)?.write(pki, user)?;
        let text = kubeconfig(user, "https://127.0.0.1:6443", Path::new(PKI))?;
        fs::write(pki.join(format!("{user}.kubeconfig")), text)?;
    }
    Ok(())
}

fn worker(authority: &Ca, machine: &Machine, pki: &Path) -> anyhow::Result<()> {
    client(authority, &format!("system:node:{}", machine.name), Some("system:nodes"))?.write(pki, "kubelet")?;
    let text = kubeconfig("kubelet", &format!("https://{SANDBOX_ADDRESS}:6443"), Path::new(PKI))?;
    fs::write(pki.join("kubelet.kubeconfig"), text)?;
    Ok(())
}

/// The agents' own authority: kubelets hold certificates of the cluster's, and must not get in with them.
fn agents(pki: &Path) -> anyhow::Result<()> {
    let authority = Ca::new("bed-agents")?;
    let other = Ca::new("bed-agents")?;
    authority.write(&pki.join("agents-ca.pem"))?;
    for who in Client::ALL {
        let identity = match who {
            Client::Impostor => client(&other, Client::Operator.name(), None)?,
            _ => client(&authority, who.name(), None)?,
        };
        identity.write(pki, who.name())?;
    }
    for machine in &MACHINES {
        for generation in [Generation::First, Generation::Second] {
            authority.server(&[machine.name, machine.address])?.write(pki, &generation.of(machine))?;
        }
    }
    Ok(())
}

fn client(authority: &Ca, name: &str, organisation: Option<&str>) -> anyhow::Result<crate::pki::Identity> {
    authority.client(&Names { common_name: name, organisations: organisation.as_slice(), ..Names::default() })
}

fn kubeconfig(user: &str, server: &str, pki: &Path) -> anyhow::Result<String> {
    fill(KUBECONFIG, &[("user", user), ("server", server), ("pki", &pki.to_string_lossy())])
}

/// Keys and kubeconfigs are root's alone; the machines' services see them under the same permissions.
fn hide_secrets(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with("-key.pem") || name.ends_with(".kubeconfig") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}
