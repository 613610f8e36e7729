//! `usher version`: usher's own version, the server's, and the agents'.

use std::collections::BTreeMap;

use serde::Serialize;

use super::world;
use crate::{
    cli::Global,
    exit::Exit,
    facts::Scope,
    problem::Problem,
    show::{self, Kind},
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    usher: &'static str,
    kubernetes: Option<String>,
    agents: BTreeMap<String, String>,
}

pub(super) async fn version(global: &Global) -> Result<Exit, Problem> {
    let mut versions = Versions { usher: env!("CARGO_PKG_VERSION"), kubernetes: None, agents: BTreeMap::new() };
    // usher's own version needs nobody's answer.
    if let Ok(world) = world(global).await {
        versions.kubernetes = world.version_at_once().await.ok();
        if let Ok(facts) = world.look(&Scope { all: true, ..Scope::default() }).await {
            let agents = facts.machines.into_iter();
            versions.agents = agents
                .filter_map(|machine| Some((machine.name, machine.agent.status()?.agent_version.clone())))
                .collect();
        }
    }
    show::show(Kind::Version, &versions, global.output, || versions.to_text())?;
    Ok(Exit::Done)
}

impl Versions {
    fn to_text(&self) -> String {
        let mut lines = vec![
            format!("usher       {}", self.usher),
            format!("Kubernetes  {}", self.kubernetes.as_deref().unwrap_or("no answer")),
        ];
        for (machine, version) in &self.agents {
            let skew = if version == self.usher { "" } else { "  (differs)" };
            lines.push(format!("agent       {machine} {version}{skew}"));
        }
        lines.join("\n")
    }
}
