//! `usher config check`: is the cluster file right, and what would usher talk to?

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;
use usher_common::chain;

use crate::{
    agents::Agents,
    cli::Global,
    cluster::Cluster,
    commands::{choose, cluster, display, staging},
    exit::Exit,
    problem::Problem,
    show::{self, Kind},
    site::{Component, LoadBalancer, PoolCommands, Role, Site},
    site_file::{Entry, Sites},
};

/// Without a load balancer, or without its URL, this much is not known.
const NO_BALANCER: &str = "none described: requests may be lost while an apiserver restarts";
const NO_ROTATION: &str = "no url: usher does not check the rotation";

/// Everything that usher would talk to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigCheck {
    /// `None`: the built-in defaults.
    cluster_file: Option<PathBuf>,
    cluster: String,
    server: String,
    /// As whom, as far as the kubeconfig tells.
    user: Option<String>,
    /// Empty: the Nodes with the label.
    control_plane: Vec<String>,
    agents: Vec<AgentAt>,
    components: Vec<ComponentAt>,
    load_balancer: Option<Balancer>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentAt {
    machine: String,
    /// `None`: its Node's InternalIP and the port.
    address: Option<String>,
    port: u16,
    server_name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ComponentAt {
    name: String,
    unit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keeps_lease: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Balancer {
    url: Option<String>,
    #[serde(flatten)]
    commands: PoolCommands,
    machines: BTreeMap<String, PoolCommands>,
    /// Seconds.
    #[serde(rename = "commandTimeoutSeconds")]
    command_timeout: f64,
    /// Seconds.
    #[serde(rename = "settleSeconds")]
    settle: f64,
    shutdown_delay_covers_checks: bool,
}

pub(super) async fn check(global: &Global) -> Result<Exit, Problem> {
    let sites = choose::sites(global)?;
    if sites.folder.is_some() && global.cluster.is_none() {
        return check_all(global, sites).await;
    }
    let checked = checked(global).await?;
    show::show(Kind::ConfigCheck, &checked, global.output, || {
        let mut lines = lines(&checked);
        lines.push("The cluster file is right.".to_owned());
        lines.join("\n")
    })?;
    Ok(Exit::Done)
}

/// Reads the cluster file, the kubeconfig and the certificates, whatever the format of the answer.
async fn checked(global: &Global) -> Result<ConfigCheck, Problem> {
    let (site, path) = match choose::entry(global)? {
        Some(Entry { path, read, .. }) => (read?.value, Some(path)),
        None => (Site::default(), None),
    };
    let cluster = cluster(global, &site).await?;
    reached(site, path, &cluster)
}

/// Checks every site of a folder, and what they share. All that is wrong is told at once.
async fn check_all(global: &Global, sites: Sites) -> Result<Exit, Problem> {
    let (mut items, mut wrong) = (Vec::new(), Vec::new());
    for Entry { path, read, .. } in sites.entries {
        let checked = match read {
            Ok(contents) => checked_alone(contents.value, &path).await.map_err(|problem| {
                let told = std::iter::once(problem.message).chain(problem.details).chain(problem.hints);
                vec![format!("{}: {}", path.display(), told.collect::<Vec<_>>().join("; "))]
            }),
            Err(error) => Err(chain(&error).lines().map(str::to_owned).collect()),
        };
        match checked {
            Ok(checked) => items.push(checked),
            // A mistake in the common file is in every site.
            Err(lines) => wrong.extend(lines.into_iter().filter(|line| !wrong.contains(line)).collect::<Vec<_>>()),
        }
    }
    let staging = staging::checked(global).unwrap_or_else(|lines| {
        wrong.extend(lines.into_iter().filter(|line| !wrong.contains(line)).collect::<Vec<_>>());
        None
    });
    if !wrong.is_empty() {
        return Err(Problem::usage(wrong.join("\n")));
    }
    show::list(Kind::ConfigCheckList, &items, global.output, || {
        let mut text: Vec<_> = items.iter().map(|checked| lines(checked).join("\n")).collect();
        text.extend(staging.map(|staging| format!("{:<16} {staging}", "staging file")));
        text.push("The cluster files are right.".to_owned());
        text.join("\n\n")
    })?;
    Ok(Exit::Done)
}

async fn checked_alone(site: Site, path: &Path) -> Result<ConfigCheck, Problem> {
    let access = choose::access_of(&site, None)?;
    let cluster = Cluster::connect(site.name.as_deref(), &access).await?;
    reached(site, Some(path.to_owned()), &cluster)
}

/// What usher would talk to at this site, if its certificates are right.
fn reached(site: Site, path: Option<PathBuf>, cluster: &Cluster) -> Result<ConfigCheck, Problem> {
    let agents = Agents::new(&site, BTreeMap::new())?;
    Ok(ConfigCheck {
        cluster_file: path,
        cluster: cluster.name().to_owned(),
        server: cluster.server().to_owned(),
        user: cluster.user().map(str::to_owned),
        agents: site.control_plane.iter().map(|machine| agent_at(machine, &agents, &site)).collect(),
        components: site.components.iter().map(ComponentAt::from).collect(),
        control_plane: site.control_plane,
        load_balancer: site.load_balancer.map(Balancer::from),
    })
}

fn agent_at(machine: &str, agents: &Agents, site: &Site) -> AgentAt {
    AgentAt {
        machine: machine.to_owned(),
        address: agents.address(machine).ok(),
        port: site.agents.port,
        server_name: site.agents.server_name.replace("{node}", machine),
    }
}

impl From<&Component> for ComponentAt {
    fn from(component: &Component) -> Self {
        let (url, lease, keeps_lease) = match &component.role {
            Role::ApiServer { url, .. } => (Some(url.clone()), None, None),
            Role::Etcd => (None, None, None),
            Role::Elected { namespace, lease, keeps_lease } => {
                (None, Some(format!("{namespace}/{lease}")), Some(*keeps_lease))
            }
            Role::Unelected => (None, None, None),
        };
        Self { name: component.name.clone(), unit: component.unit.clone(), url, lease, keeps_lease }
    }
}

impl From<LoadBalancer> for Balancer {
    fn from(balancer: LoadBalancer) -> Self {
        Self {
            url: balancer.url,
            commands: balancer.commands,
            machines: balancer.machines,
            command_timeout: balancer.command_timeout.as_secs_f64(),
            settle: balancer.settle.as_secs_f64(),
            shutdown_delay_covers_checks: balancer.shutdown_delay_covers_checks,
        }
    }
}

fn lines(checked: &ConfigCheck) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<16} {value}"));
    line("cluster file", display(checked.cluster_file.as_deref()));
    line("cluster", checked.cluster.clone());
    let user = checked.user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
    line("API", format!("{}{user}", checked.server));
    line(
        "control plane",
        match checked.control_plane.as_slice() {
            [] => "the Nodes with the label node-role.kubernetes.io/control-plane".to_owned(),
            names => names.join(", "),
        },
    );
    for AgentAt { machine, address, port, server_name } in &checked.agents {
        let address = address.clone().unwrap_or_else(|| format!("its InternalIP, port {port}"));
        line("agent", format!("{machine} at {address}, as {server_name}"));
    }
    for ComponentAt { name, unit, url, lease, keeps_lease } in &checked.components {
        let role = match (url, lease) {
            (Some(url), _) => format!("serves {url}"),
            // It is reached through the agents alone.
            (None, None) => "asked through the agents".to_owned(),
            (None, lease) => {
                let keeps = if *keeps_lease == Some(true) { ", kept when it ends" } else { "" };
                format!("elected through {}{keeps}", lease.as_deref().unwrap_or("-"))
            }
        };
        line("component", format!("{name} ({unit}): {role}"));
    }
    match &checked.load_balancer {
        None => line("load balancer", NO_BALANCER.to_owned()),
        Some(Balancer { url, commands, .. }) => {
            line("load balancer", url.clone().unwrap_or_else(|| NO_ROTATION.to_owned()));
            for (name, command) in [("depool", &commands.depool), ("pool", &commands.pool), ("check", &commands.check)]
            {
                line(&format!("  {name}"), command.as_ref().map_or_else(|| "-".to_owned(), |argv| argv.join(" ")));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests;
