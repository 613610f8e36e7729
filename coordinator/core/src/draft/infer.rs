//! What follows from what was seen.

use std::collections::BTreeSet;

use super::seen::{AgentSeen, ApiServerSeen, Seen};
use crate::facts::leader::{is_same_host, is_short_for};

/// Names that distributions give every cluster.
const NO_NAMES: [&str; 3] = ["kubernetes", "default", "cluster.local"];

/// A machine of the control plane, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub why: String,
    /// Its address, if it is no Node and only its apiserver's certificate tells where it is.
    pub address: Option<String>,
}

/// Something to ask the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What the cluster is called.
    Name,
    /// Which certificate usher shows to agents.
    Certificate,
    /// The commands of the load balancer.
    Pool,
}

/// What cannot be seen. `has_certificate`: whether the usual files are there.
pub fn questions(seen: &Seen, has_certificate: bool) -> Vec<Question> {
    let mut questions = Vec::new();
    questions.extend(name(seen).is_none().then_some(Question::Name));
    questions.extend((!has_certificate).then_some(Question::Certificate));
    questions.extend(balancer(seen).is_some().then_some(Question::Pool));
    questions
}

/// What the kubeconfig calls the cluster, unless every cluster is called so.
pub fn name(seen: &Seen) -> Option<&str> {
    seen.cluster.as_deref().filter(|name| !NO_NAMES.contains(name) && !name.is_empty())
}

/// The machines of the control plane: Nodes with the label, else machines that run an apiserver, by their Nodes' addresses or their
/// certificates, or hold leases of the control plane.
pub fn control_plane(seen: &Seen) -> Vec<Found> {
    let labelled = seen.nodes.iter().filter(|node| node.labelled).map(|node| Found {
        name: node.name.clone(),
        why: "has the label node-role.kubernetes.io/control-plane".to_owned(),
        address: None,
    });
    let labelled: Vec<_> = labelled.collect();
    if !labelled.is_empty() {
        return labelled;
    }
    let mut found: Vec<Found> = Vec::new();
    for server in &seen.apiservers {
        if let Some(node) = seen.nodes.iter().find(|node| node.address.as_deref() == Some(&server.host)) {
            let why = "an apiserver is at its address".to_owned();
            found.push(Found { name: node.name.clone(), why, address: None });
        }
    }
    let hosts: BTreeSet<_> =
        seen.leases.iter().map(|lease| lease.host.as_str()).filter(|host| !host.is_empty()).collect();
    for host in hosts {
        if found.iter().any(|known| is_one(&known.name, host)) {
            continue;
        }
        match seen.nodes.iter().find(|node| is_one(&node.name, host)) {
            Some(node) => {
                found.push(Found {
                    name: node.name.clone(),
                    why: "holds a lease of the control plane".to_owned(),
                    address: None,
                });
            }
            None => {
                let why = "holds a lease of the control plane, and is no Node".to_owned();
                let server = seen.apiservers.iter().find(|server| server.names.iter().any(|name| is_one(name, host)));
                found.push(Found { name: host.to_owned(), why, address: server.map(|server| server.host.clone()) });
            }
        }
    }
    for server in &seen.apiservers {
        let is_known = |found: &Found| {
            let of_node = seen.nodes.iter().find(|node| node.name == found.name).and_then(|node| node.address.as_ref());
            found.address.as_ref().or(of_node) == Some(&server.host)
        };
        if !found.iter().any(is_known)
            && let Some(name) = own_name(server, &seen.apiservers)
        {
            let why = "is a name that one apiserver's certificate alone bears".to_owned();
            found.push(Found { name: name.to_owned(), why, address: Some(server.host.clone()) });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The shortest name in the certificate of an apiserver that those of the others lack.
fn own_name<'a>(server: &'a ApiServerSeen, all: &[ApiServerSeen]) -> Option<&'a str> {
    let others = || all.iter().filter(|other| other.host != server.host);
    let is_own = |name: &&String| {
        name.as_str() != "localhost" && !others().any(|other| other.names.contains(name)) && others().next().is_some()
    };
    server.names.iter().filter(is_own).min_by_key(|name| name.len()).map(String::as_str)
}

fn is_one(name: &str, host: &str) -> bool {
    is_same_host(name, host) || is_short_for(name, host)
}

/// The URL of the load balancer before the apiservers: where the kubeconfig leads, if there are several apiservers and that is none of
/// them.
pub fn balancer(seen: &Seen) -> Option<String> {
    let place = seen.server.strip_prefix("https://")?.split('/').next()?;
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host).trim_matches(['[', ']']);
    let own = |server: &ApiServerSeen| server.host == host;
    let node = || seen.nodes.iter().any(|node| is_one(&node.name, host) || node.address.as_deref() == Some(host));
    (seen.apiservers.len() > 1 && !seen.apiservers.iter().any(own) && !node()).then(|| format!("https://{place}"))
}

/// The pattern of the names in the agents' certificates, with `{node}` for the machine's name: None if they have none in common, or
/// nothing answered.
pub fn server_name(seen: &Seen) -> Option<String> {
    let shown: Vec<_> = seen.agents.iter().filter(|agent| !agent.names.is_empty()).collect();
    let patterns = |agent: &AgentSeen| -> BTreeSet<String> {
        let of_name = |name: &String| {
            let rest = name.strip_prefix(&agent.machine)?;
            (rest.is_empty() || rest.starts_with('.')).then(|| format!("{{node}}{rest}"))
        };
        agent.names.iter().filter_map(of_name).collect()
    };
    let common = shown.iter().map(|agent| patterns(agent)).reduce(|all, some| &all & &some)?;
    // The shortest is the machine's own name, which is also the default.
    common.into_iter().min_by_key(String::len)
}
