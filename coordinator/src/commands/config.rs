//! `usher config check`: is the cluster file right, and what would usher talk to?

use super::{cluster, display};
use crate::{
    cli::Global,
    config as cluster_file,
    exit::Exit,
    node::Agents,
    output::{self, Format},
    problem::Problem,
    site::Role,
};

pub(super) async fn check(global: &Global) -> Result<Exit, Problem> {
    let path = cluster_file::locate(global.cluster_file.as_deref());
    let site = super::site(global)?;
    if matches!(global.output, Format::Json | Format::Yaml) {
        output::result(&output::structured(&site, global.output)?);
        return Ok(Exit::Done);
    }
    let cluster = cluster(global, &site).await?;
    let line = |name: &str, value: String| output::result(&format!("{name:<16} {value}"));
    line("cluster file", display(path.as_deref()));
    line("cluster", cluster.name().to_owned());
    line("API", cluster.server().to_owned());
    line(
        "control plane",
        match site.control_plane.as_slice() {
            [] => "the Nodes with the label node-role.kubernetes.io/control-plane".to_owned(),
            names => names.join(", "),
        },
    );
    let agents = Agents::new(&site, std::collections::BTreeMap::new())?;
    for machine in &site.control_plane {
        let address = agents.address(machine).unwrap_or_else(|_| format!("its InternalIP, port {}", site.agents.port));
        line("agent", format!("{machine} at {address}, as {}", site.agents.server_name.replace("{node}", machine)));
    }
    for component in &site.components {
        let role = match &component.role {
            Role::ApiServer { url } => format!("serves {url}"),
            Role::Elected { namespace, lease, keeps_lease } => {
                let keeps = if *keeps_lease { ", kept when it ends" } else { "" };
                format!("elected through {namespace}/{lease}{keeps}")
            }
        };
        line("component", format!("{} ({}): {role}", component.name, component.unit));
    }
    match &site.load_balancer {
        None => line("load balancer", "none described: requests may be lost while an apiserver restarts".to_owned()),
        Some(balancer) => {
            let commands = &balancer.commands;
            line(
                "load balancer",
                balancer.url.clone().unwrap_or_else(|| "no url: rotation is not looked at".to_owned()),
            );
            for (name, command) in [("depool", &commands.depool), ("pool", &commands.pool), ("check", &commands.check)]
            {
                line(&format!("  {name}"), command.as_ref().map_or_else(|| "-".to_owned(), |argv| argv.join(" ")));
            }
        }
    }
    output::result("The cluster file is right.");
    Ok(Exit::Done)
}
