//! Agents whose version is not usher's. Both keep to a contract that only grows, so they work together; an older one of them lacks
//! what the newer one can do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Number;
use crate::nodeset::words;

/// Agents of one version that is not usher's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSkew {
    pub version: String,
    pub machines: Vec<String>,
    /// Who is older, and what to upgrade.
    pub message: String,
}

/// The agents' versions, by machine, that are not usher's.
pub fn agent_skew(usher: &str, agents: &BTreeMap<String, String>) -> Vec<AgentSkew> {
    let mut others: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (machine, version) in agents.iter().filter(|(_, version)| *version != usher) {
        others.entry(version).or_default().push(machine.clone());
    }
    let skew = |(version, machines): (&str, Vec<String>)| {
        let than = match (Number::read(version), Number::read(usher)) {
            (Some(its), Some(own)) if its < own => "older than usher: upgrade usher-agent there",
            (Some(its), Some(own)) if its > own => "newer than usher: upgrade usher here",
            _ => "another build than usher: upgrade the older one",
        };
        let message = format!("the agent on {} has version {version}, {than} ({usher})", words(&machines));
        AgentSkew { version: version.to_owned(), machines, message }
    };
    others.into_iter().map(skew).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_that_is_not_ushers_is_told_once_with_what_to_upgrade() {
        let agents = [("w1", "1.2.0"), ("w2", "1.1.9"), ("w3", "1.1.9"), ("w4", "1.3.0"), ("w5", "1.2.0-2")];
        let agents = agents.map(|(machine, version)| (machine.to_owned(), version.to_owned())).into();
        let messages: Vec<_> = agent_skew("1.2.0", &agents).into_iter().map(|skew| skew.message).collect();
        assert_eq!(
            messages,
            [
                "the agent on w2 and w3 has version 1.1.9, older than usher: upgrade usher-agent there (1.2.0)",
                "the agent on w5 has version 1.2.0-2, another build than usher: upgrade the older one (1.2.0)",
                "the agent on w4 has version 1.3.0, newer than usher: upgrade usher here (1.2.0)",
            ]
        );
    }
}
