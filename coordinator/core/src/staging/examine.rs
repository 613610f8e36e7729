//! What stands against a switch to a cluster, from facts about it and about the one that is active now.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Look, Preflight};
use crate::{
    facts::{AgentFacts, Inventory, apiserver::Readiness},
    text::count,
};

/// What runs in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workloads {
    pub namespaces: BTreeSet<String>,
    /// Deployments, DaemonSets and StatefulSets.
    pub workloads: BTreeMap<WorkloadId, Workload>,
}

/// Which workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadId {
    pub namespace: String,
    /// In lower case, as kubectl takes it: `deployment`.
    pub kind: &'static str,
    pub name: String,
}

impl std::fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.kind, self.name)
    }
}

/// What is wanted of a workload, and how far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// The images of its containers, by their names.
    pub images: BTreeMap<String, String>,
    /// What is missing until it is rolled out; None if it is.
    pub unfinished: Option<String>,
}

/// One of the two clusters, as far as it answers.
#[derive(Debug, Clone)]
pub struct Side {
    pub name: String,
    /// The API server's version, or why it is not known.
    pub version: Result<String, String>,
    /// What runs there, or why that is not known.
    pub workloads: Result<Workloads, String>,
}

/// What one look at the target found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub look: Look,
    /// Whether nothing stands against the switch.
    pub good: bool,
    /// In one sentence.
    pub what: String,
    /// Each thing that is wrong, a line each.
    pub details: Vec<String>,
    /// It is bad, and the file or the operator says that it does not count.
    pub ignored: bool,
}

impl Finding {
    /// Whether it forbids the switch.
    pub fn forbids(&self) -> bool {
        !self.good && !self.ignored
    }
}

/// What every look finds.
pub fn examine(
    facts: &Inventory,
    apiservers: &BTreeMap<String, Readiness>,
    target: &Side,
    source: &Side,
    policy: &Preflight,
) -> Vec<Finding> {
    let found = |look: Look, (good, what): (String, String), details: Vec<String>| Finding {
        look,
        good: details.is_empty(),
        what: if details.is_empty() { good } else { what },
        ignored: !details.is_empty() && policy.ignore.contains(&look),
        details,
    };
    let wanted = |namespace: &str| !policy.ignore_namespaces.iter().any(|ignored| ignored == namespace);
    Look::ALL
        .into_iter()
        .map(|look| match look {
            Look::Nodes => {
                let (nodes, details) = nodes(facts);
                let bad = format!("{} of {} are not Ready and schedulable", details.len(), count(nodes, "Node"));
                found(look, (format!("{} Ready and schedulable", count(nodes, "Node")), bad), details)
            }
            Look::Apiservers => {
                let details = not_ready(apiservers);
                let bad = format!("{} of {} not ready", details.len(), count(apiservers.len(), "apiserver"));
                let good = format!("{} ready, etcd included", count(apiservers.len(), "apiserver"));
                found(look, (good, bad), details)
            }
            Look::Agents => {
                let (asked, details) = silent(facts);
                let bad = format!("{} of {} do not answer", details.len(), count(asked, "agent"));
                found(look, (format!("{} answer", count(asked, "agent")), bad), details)
            }
            Look::Workloads => {
                let (number, details) = unfinished(target, wanted);
                let bad = format!("{} not rolled out", count(details.len(), "workload"));
                found(look, (format!("{} rolled out", count(number, "workload")), bad), details)
            }
            Look::Versions => {
                let (good, details) = versions(target, source);
                found(look, (good, "the versions are not known to be the same".to_owned()), details)
            }
            Look::Missing => {
                let compared = compared(target, source, |target, source| missing(target, source, wanted));
                let bad = |number| format!("{} of {} missing", count(number, "object"), source.name);
                let good = format!("everything of {} is there", source.name);
                let (bad, details) = told(compared, bad);
                found(look, (good, bad), details)
            }
            Look::Images => {
                let compared = compared(target, source, |target, source| images(target, source, wanted));
                let bad = |number| format!("{} with other images than in {}", count(number, "workload"), source.name);
                let good = format!("the same images as in {}", source.name);
                let (bad, details) = told(compared, bad);
                found(look, (good, bad), details)
            }
        })
        .collect()
}

fn nodes(facts: &Inventory) -> (usize, Vec<String>) {
    let nodes: Vec<_> = facts.machines.iter().filter_map(|machine| machine.node.as_ref()).collect();
    let mut details: Vec<_> = nodes
        .iter()
        .filter_map(|node| match (node.is_ready(), node.unschedulable) {
            (true, false) => None,
            (true, true) => Some(format!("{} is cordoned", node.name)),
            (false, _) => Some(format!("{} is not Ready: {}", node.name, node.ready_message)),
        })
        .collect();
    if nodes.is_empty() {
        details.push("there is no Node".to_owned());
    }
    (nodes.len(), details)
}

fn not_ready(apiservers: &BTreeMap<String, Readiness>) -> Vec<String> {
    let bad = apiservers.iter().filter(|(_, readiness)| !readiness.is_ready());
    bad.map(|(machine, readiness)| format!("{machine} {readiness}")).collect()
}

fn silent(facts: &Inventory) -> (usize, Vec<String>) {
    let details = facts.machines.iter().filter_map(|machine| match &machine.agent {
        AgentFacts::Silent { message, .. } => Some(format!("{}: {message}", machine.name)),
        AgentFacts::Answers { .. } | AgentFacts::NotAsked => None,
    });
    (facts.machines.len(), details.collect())
}

fn unfinished(target: &Side, wanted: impl Fn(&str) -> bool) -> (usize, Vec<String>) {
    match &target.workloads {
        Err(why) => (0, vec![format!("what runs in {} is not known: {why}", target.name)]),
        Ok(Workloads { workloads, .. }) => {
            let there: Vec<_> = workloads.iter().filter(|(id, _)| wanted(&id.namespace)).collect();
            let details =
                there.iter().filter_map(|(id, workload)| Some(format!("{id}: {}", workload.unfinished.as_ref()?)));
            (there.len(), details.collect())
        }
    }
}

fn versions(target: &Side, source: &Side) -> (String, Vec<String>) {
    let unknown = |side: &Side| Some(format!("{}: {}", side.name, side.version.as_ref().err()?));
    match (&target.version, &source.version) {
        (Ok(there), Ok(here)) if there == here => {
            (format!("both are Kubernetes {}", there.trim_start_matches('v')), Vec::new())
        }
        (Ok(there), Ok(here)) => {
            (String::new(), vec![format!("{} has {there}", target.name), format!("{} has {here}", source.name)])
        }
        _ => (String::new(), [target, source].into_iter().filter_map(unknown).collect()),
    }
}

/// What a comparison of both sides finds, or why there can be none.
fn compared(
    target: &Side,
    source: &Side,
    compare: impl Fn(&Workloads, &Workloads) -> Vec<String>,
) -> Result<Vec<String>, String> {
    let unknown = |side: &Side| {
        side.workloads.as_ref().err().map(|why| format!("what runs in {} is not known: {why}", side.name))
    };
    match (&target.workloads, &source.workloads) {
        (Ok(there), Ok(here)) => Ok(compare(there, here)),
        _ => Err([target, source].into_iter().filter_map(unknown).collect::<Vec<_>>().join("; ")),
    }
}

/// A comparison's sentence and its details.
fn told(compared: Result<Vec<String>, String>, bad: impl Fn(usize) -> String) -> (String, Vec<String>) {
    match compared {
        Ok(details) => (bad(details.len()), details),
        Err(why) => ("the two cannot be compared".to_owned(), vec![why]),
    }
}

fn missing(target: &Workloads, source: &Workloads, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let gone = |namespace: &String| !target.namespaces.contains(namespace);
    let namespaces = source.namespaces.iter().filter(|namespace| wanted(namespace) && gone(namespace));
    let workloads = source.workloads.keys().filter(|id| wanted(&id.namespace) && !gone(&id.namespace));
    let workloads = workloads.filter(|id| !target.workloads.contains_key(*id));
    // What is in a namespace that is missing goes without saying.
    namespaces.map(|name| format!("namespace {name}")).chain(workloads.map(ToString::to_string)).collect()
}

fn images(target: &Workloads, source: &Workloads, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let both = source.workloads.iter().filter_map(|(id, here)| Some((id, here, target.workloads.get(id)?)));
    let differing = both.filter(|(id, here, there)| wanted(&id.namespace) && here.images != there.images);
    differing
        .map(|(id, here, there)| {
            let names: BTreeSet<_> = here.images.keys().chain(there.images.keys()).collect();
            let differ = names.into_iter().filter(|name| here.images.get(*name) != there.images.get(*name));
            let image = |workload: &Workload, name: &String| {
                workload.images.get(name).cloned().unwrap_or_else(|| "none".to_owned())
            };
            let pairs: Vec<_> =
                differ.map(|name| format!("{name} {} instead of {}", image(there, name), image(here, name))).collect();
            format!("{id}: {}", pairs.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests;
