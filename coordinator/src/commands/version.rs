//! `usher version`: usher's own version, the server's, and the agents'.

use std::collections::BTreeMap;

use serde::Serialize;
use usher_core::{
    nodeset::listed,
    versions::{AgentSkew, agent_skew},
};

use super::world;
use crate::{
    cli::Global,
    exit::Exit,
    facts::{AgentFacts, Scope},
    problem::Problem,
    show::{self, Kind},
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    usher: &'static str,
    kubernetes: Option<String>,
    /// By machine.
    agents: BTreeMap<String, String>,
    /// The machines whose agents do not answer.
    silent: Vec<String>,
    /// Versions that are not usher's.
    skew: Vec<AgentSkew>,
}

pub(super) async fn version(global: &Global) -> Result<Exit, Problem> {
    let usher = env!("CARGO_PKG_VERSION");
    let mut versions =
        Versions { usher, kubernetes: None, agents: BTreeMap::new(), silent: Vec::new(), skew: Vec::new() };
    // usher's own version needs nobody's answer.
    if let Ok(world) = world(global).await {
        versions.kubernetes = world.version_at_once().await.ok();
        if let Ok(facts) = world.look(&Scope { all: true, ..Scope::default() }).await {
            for machine in facts.machines {
                match machine.agent {
                    AgentFacts::Answers { status } => drop(versions.agents.insert(machine.name, status.agent_version)),
                    AgentFacts::Silent { .. } => versions.silent.push(machine.name),
                    AgentFacts::NotAsked => {}
                }
            }
        }
    }
    versions.skew = agent_skew(usher, &versions.agents);
    show::show(Kind::Version, &versions, global.output, || versions.to_text())?;
    Ok(Exit::Done)
}

impl Versions {
    fn to_text(&self) -> String {
        let mut lines = vec![
            format!("usher       {}", self.usher),
            format!("Kubernetes  {}", self.kubernetes.as_deref().unwrap_or("no answer")),
        ];
        let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (machine, version) in &self.agents {
            by_version.entry(version).or_default().push(machine);
        }
        lines.extend(
            by_version.iter().map(|(version, machines)| format!("agent       {version} on {}", listed(machines))),
        );
        if !self.silent.is_empty() {
            lines.push(format!("no answer   {}", listed(&self.silent)));
        }
        lines.extend(self.skew.iter().map(|skew| format!("warning: {}", skew.message)));
        lines.join("\n")
    }
}
