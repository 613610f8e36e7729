//! The files that an operator and an admin would write.

use std::{fmt::Write as _, fs, net::Ipv4Addr, path::Path};

use anyhow::Context as _;

use super::{
    CONTROL_PLANE,
    components::Component,
    network::{AGENT_PORT, API_PORT, Network},
};

/// `agent.toml` of one machine, in its folder beside the certificates.
pub(super) fn agent_configuration(
    folder: &Path,
    name: &str,
    address: Ipv4Addr,
    bus: &str,
    components: &[Component],
) -> anyhow::Result<()> {
    let mut text = format!(
        r#"node = "{name}"
listen = "{address}:{AGENT_PORT}"
state_directory = "state"
hold_file = "hold"
boot_id_file = "boot_id"
socket = "agent.sock"
bus = "{bus}"

[tls]
certificate = "agent.pem"
key = "agent-key.pem"
client_ca = "ca.pem"

[allow]
operator = ["CN=operator"]
"#
    );
    for component in components {
        writeln!(text, "\n[units.\"{}\"]", component.unit)?;
        if component.port != 0 {
            let path = if component.unit.contains("controller-manager") { "healthz" } else { "readyz" };
            let url = format!("https://{address}:{}/{path}", component.port);
            writeln!(text, r#"probe = {{ url = "{url}", ca = "ca.pem", successes = 2, interval = "100ms" }}"#)?;
        }
    }
    fs::create_dir(folder.join("state"))?;
    fs::write(folder.join("agent.toml"), text).context("write the agent's configuration")
}

/// `kubeconfig`: the API through the balancer, as the operator.
pub(super) fn kubeconfig(folder: &Path, network: Network) -> anyhow::Result<()> {
    let (here, balancer) = (folder.display(), network.balancer());
    let text = format!(
        r"apiVersion: v1
kind: Config
current-context: sandbox
contexts:
- name: sandbox
  context: {{cluster: sandbox, user: operator}}
clusters:
- name: sandbox
  cluster:
    server: https://{balancer}:{API_PORT}
    certificate-authority: {here}/ca.pem
users:
- name: operator
  user:
    client-certificate: {here}/client.pem
    client-key: {here}/client-key.pem
"
    );
    fs::write(folder.join("kubeconfig"), text).context("write the kubeconfig")
}

/// `cluster.toml`. `control` is the program that talks to the balancer.
pub(super) fn cluster_file(folder: &Path, network: Network, control: &Path) -> anyhow::Result<()> {
    let names = CONTROL_PLANE.map(|name| format!("\"{name}\"")).join(", ");
    let addresses: String =
        CONTROL_PLANE.iter().map(|name| format!("{name} = \"{}:{AGENT_PORT}\"\n", network.address(name))).collect();
    let command = |verb: &str| {
        let (program, socket) = (control.display(), folder.join("balancer.sock"));
        format!("[\"{program}\", \"balancer\", \"{}\", \"{verb}\", \"{{node}}\"]", socket.display())
    };
    let (depool, pool, check) = (command("depool"), command("pool"), command("check"));
    let balancer = network.balancer();
    let text = format!(
        r#"name = "sandbox"

[api]
kubeconfig = "kubeconfig"

[control_plane]
machines = [{names}]

[agents]
certificate = "client.pem"
key = "client-key.pem"
ca = "ca.pem"

[agents.addresses]
{addresses}
[load_balancer]
url = "https://{balancer}:{API_PORT}"
depool = {depool}
pool = {pool}
check = {check}
settle = "300ms"

[helmfile]
folder = "services"
program = "./helmfile"

# Shorter than anywhere else: nothing here needs the time.
[defaults]
gap = "1s"
settle = "2s"
"#
    );
    fs::write(folder.join("cluster.toml"), text).context("write the cluster file")
}
