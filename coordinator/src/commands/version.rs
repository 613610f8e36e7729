//! `usher version`: ours, the server's, the agents'.

use serde::Serialize;

use super::world;
use crate::{
    cli::Global,
    exit::Exit,
    inventory::Scope,
    output::{self, Format},
    problem::Problem,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    usher: &'static str,
    kubernetes: Option<String>,
    agents: std::collections::BTreeMap<String, String>,
}

pub(super) async fn version(global: &Global) -> Result<Exit, Problem> {
    let mut versions =
        Versions { usher: env!("CARGO_PKG_VERSION"), kubernetes: None, agents: std::collections::BTreeMap::new() };
    // Ours is told whatever else can be had.
    if let Ok(world) = world(global).await {
        versions.kubernetes = world.version_at_once().await.ok();
        if let Ok(facts) = world.look(&Scope { all: true, ..Scope::default() }).await {
            let agents = facts.machines.into_iter();
            versions.agents = agents
                .filter_map(|machine| Some((machine.name, machine.agent.status()?.agent_version.clone())))
                .collect();
        }
    }
    if matches!(global.output, Format::Json | Format::Yaml) {
        output::result(&output::structured(&versions, global.output)?);
        return Ok(Exit::Done);
    }
    output::result(&format!("usher       {}", versions.usher));
    output::result(&format!("Kubernetes  {}", versions.kubernetes.as_deref().unwrap_or("no answer")));
    for (machine, version) in &versions.agents {
        let skew = if version == versions.usher { "" } else { "  (differs)" };
        output::result(&format!("agent       {machine} {version}{skew}"));
    }
    Ok(Exit::Done)
}
