//! Whether the machine that an agent would reboot is the Node that would be drained.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    AgentFacts, Machine,
    leader::{is_same_host, is_short_for},
    node::NodeFacts,
};

/// What the agent of a machine and the kubelet of its Node say about being one. A boot id is random and new with each boot:
/// two that agree prove it, and nothing else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Identity {
    /// Both report the same boot.
    Same,
    /// They report different boots: they are two machines, or the kubelet has not reported since the last boot.
    #[serde(rename_all = "camelCase")]
    Differs {
        /// The agent's boot id.
        agent: String,
        /// The kubelet's, as the Node has it.
        node: String,
        /// Whether the kubelet reports at present. If it does not, its boot id may be of an earlier boot.
        node_is_ready: bool,
    },
    /// One of them says nothing.
    Unknown { because: Unproven },
}

/// Why nobody can tell whether a machine and a Node are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unproven {
    /// The machine is no Node of this cluster: there is nothing that could be another machine.
    NoNode,
    /// Several Nodes could be this machine by their names or addresses; these.
    SeveralNodes(Vec<String>),
    /// The agent was not asked or did not answer.
    AgentSilent,
    /// The agent reports no boot id.
    AgentWithoutBoot,
    /// The kubelet has never reported a boot id.
    NodeWithoutBoot,
}

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoNode => f.write_str("it is no Node of this cluster"),
            Self::SeveralNodes(nodes) => {
                write!(f, "several Nodes could be this machine by their names or addresses: {}", nodes.join(", "))
            }
            Self::AgentSilent => f.write_str("its agent does not answer"),
            Self::AgentWithoutBoot => f.write_str("its agent reports no boot id"),
            Self::NodeWithoutBoot => f.write_str("its kubelet has never reported a boot id"),
        }
    }
}

impl Machine {
    /// Whether the machine behind the agent is the Node.
    pub fn identity(&self) -> Identity {
        let unknown = |because| Identity::Unknown { because };
        if !self.rival_nodes.is_empty() {
            return unknown(Unproven::SeveralNodes(self.rival_nodes.clone()));
        }
        let Some(node) = &self.node else { return unknown(Unproven::NoNode) };
        let AgentFacts::Answers { status: agent } = &self.agent else { return unknown(Unproven::AgentSilent) };
        match (agent.boot_id.as_str(), node.boot_id.as_str()) {
            ("", _) => unknown(Unproven::AgentWithoutBoot),
            (_, "") => unknown(Unproven::NodeWithoutBoot),
            (agent, node) if agent.eq_ignore_ascii_case(node) => Identity::Same,
            (agent, boot) => {
                Identity::Differs { agent: agent.into(), node: boot.into(), node_is_ready: node.is_ready() }
            }
        }
    }
}

/// The Nodes that a machine of the cluster file may be: none, the one, or several between which nobody should guess. `address`
/// is the host part of its agent's address, if the file gives one.
///
/// A Node of the machine's own name is it. Else those that share an address or a full host name with it count, and only if
/// there are none those whose host name is the machine's without its domain, or the other way round.
pub fn nodes_of<'a>(machine: &str, address: Option<&str>, nodes: &'a BTreeMap<String, NodeFacts>) -> Vec<&'a str> {
    if let Some((name, _)) = nodes.get_key_value(machine) {
        return vec![name];
    }
    let fitting = |fits: &dyn Fn(&NodeFacts) -> bool| -> Vec<&'a str> {
        nodes.values().filter(|node| fits(node)).map(|node| node.name.as_str()).collect()
    };
    let is_named = |node: &NodeFacts, same: fn(&str, &str) -> bool| {
        let ours = std::iter::once(machine).chain(address);
        ours.clone().any(|ours| same(&node.name, ours) || node.hostnames.iter().any(|name| same(name, ours)))
    };
    let exact = fitting(&|node| {
        is_named(node, is_same_host) || address.is_some_and(|address| node.internal_ip.as_deref() == Some(address))
    });
    if exact.is_empty() { fitting(&|node| is_named(node, is_short_for)) } else { exact }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{facts::agent::AgentStatus, plan::fixtures};

    #[test]
    fn only_equal_boot_ids_prove_that_agent_and_node_are_one_machine() {
        let node = |boot_id: &str| Some(NodeFacts { boot_id: boot_id.into(), ..fixtures::node("w1") });
        let away = |boot_id: &str| Some(NodeFacts { ready: "Unknown".into(), ..node(boot_id).unwrap() });
        let agent = |boot_id: &str| AgentFacts::Answers {
            status: Box::new(AgentStatus { boot_id: boot_id.into(), ..AgentStatus::default() }),
        };
        let silent = AgentFacts::Silent { message: "no route".into(), hint: None };
        let differs = |node_is_ready| Identity::Differs { agent: "b".into(), node: "a".into(), node_is_ready };
        let unknown = |because| Identity::Unknown { because };
        for (what, node, agent, rivals, expected) in [
            ("the same boot", node("a"), agent("a"), &[][..], Identity::Same),
            ("w1 of another cluster", node("a"), agent("b"), &[], differs(true)),
            ("booted, and its kubelet does not report", away("a"), agent("b"), &[], differs(false)),
            ("a silent agent", node("a"), silent, &[], unknown(Unproven::AgentSilent)),
            ("an agent that was not asked", node("a"), AgentFacts::NotAsked, &[], unknown(Unproven::AgentSilent)),
            ("an agent without a boot id", node("a"), agent(""), &[], unknown(Unproven::AgentWithoutBoot)),
            ("a Node that never reported", node(""), agent("a"), &[], unknown(Unproven::NodeWithoutBoot)),
            ("no Node", None, agent("a"), &[], unknown(Unproven::NoNode)),
            (
                "two Nodes that fit",
                None,
                agent("a"),
                &["w1.a", "w1.b"],
                unknown(Unproven::SeveralNodes(vec!["w1.a".into(), "w1.b".into()])),
            ),
        ] {
            let rival_nodes = rivals.iter().map(|&name| name.to_owned()).collect();
            let machine = Machine { name: "w1".into(), node, agent, rival_nodes, ..Machine::default() };
            assert_eq!(machine.identity(), expected, "{what}");
        }
    }

    #[test]
    fn a_machine_finds_its_node_by_name_address_or_host_name_and_never_by_a_guess() {
        let nodes: BTreeMap<String, NodeFacts> = [
            ("cp1.example.org", "10.0.0.1", "cp1.example.org"),
            ("ip-10-0-0-2", "10.0.0.2", "cp2"),
            ("w1.a.example", "10.0.1.1", "w1.a.example"),
            ("w1.b.example", "10.0.1.2", "w1.b.example"),
            ("w2", "10.0.1.3", "w3"),
            ("w3", "10.0.1.4", "w3"),
        ]
        .map(|(name, ip, host)| {
            let facts =
                NodeFacts { internal_ip: Some(ip.into()), hostnames: vec![host.into()], ..fixtures::node(name) };
            (name.to_owned(), facts)
        })
        .into();
        for (what, machine, address, expected) in [
            ("its own name", "w2", None, &["w2"][..]),
            ("its own name, though another has it as host name", "w3", None, &["w3"]),
            ("the Node has the full name", "cp1", None, &["cp1.example.org"]),
            ("the file has the full name", "cp2.example.org", None, &["ip-10-0-0-2"]),
            ("its host name", "cp2", None, &["ip-10-0-0-2"]),
            ("its address alone", "master-a", Some("10.0.0.1"), &["cp1.example.org"]),
            ("the host name in its agent's address", "master-a", Some("cp1.example.org"), &["cp1.example.org"]),
            ("a short name that two Nodes share", "w1", None, &["w1.a.example", "w1.b.example"]),
            ("the same, told apart by the address", "w1", Some("10.0.1.2"), &["w1.b.example"]),
            (
                "its name says one Node, its address another",
                "cp2",
                Some("10.0.0.1"),
                &["cp1.example.org", "ip-10-0-0-2"],
            ),
            ("another domain", "cp1.elsewhere.org", None, &[]),
            ("no Node", "cp9", Some("10.9.9.9"), &[]),
        ] {
            assert_eq!(nodes_of(machine, address, &nodes), expected, "{what}");
        }
    }
}
