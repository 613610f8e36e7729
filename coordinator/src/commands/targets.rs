//! Which Nodes and machines the operator named or selected.

use crate::{cli::Targets, problem::Problem, world::World};

/// What may be named as a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A Node of the cluster. Kubernetes knows it by its own name.
    Node,
    /// A Node, or a machine of the control plane that need not be one. It goes by the name in the cluster file.
    Machine,
}

/// The targets that were named or selected. All are looked up before the first is touched. Names may be written as kubectl
/// does: `node/w1`.
pub(super) async fn targets(world: &World, targets: &Targets, kind: Kind) -> Result<Vec<String>, Problem> {
    let Targets { nodes: named, selector } = targets;
    let named = match selector {
        None => named.clone(),
        Some(selector) => {
            let found: Vec<_> = world.cluster.nodes_matching(selector).await?.into_keys().collect();
            if found.is_empty() {
                return Err(Problem::refused(format!("no node matches the selector {selector:?}"))
                    .hint("see them: kubectl get nodes --show-labels"));
            }
            found
        }
    };
    let mut names: Vec<String> = Vec::new();
    for name in named {
        let name = target(world, node_name(&name), kind)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name alone, of one written as kubectl does: `node/w1`. `kinds` are the words before the slash that mean its kind.
pub(super) fn bare<'a>(name: &'a str, kinds: &[&str]) -> &'a str {
    match name.split_once('/') {
        Some((kind, bare)) if kinds.contains(&kind) => bare,
        _ => name,
    }
}

/// The name of a Node that may be written as `node/w1`.
pub(super) fn node_name(name: &str) -> &str {
    bare(name, &["node", "nodes", "no"])
}

fn target(world: &World, name: &str, kind: Kind) -> Result<String, Problem> {
    let what = match kind {
        Kind::Node => "a Node",
        Kind::Machine => "a Node or a control-plane machine",
    };
    let unknown = || Problem::refused(format!("{name} is not {what} of this cluster")).hint("see them: usher nodes");
    let machine = world.machine_named(name).ok_or_else(unknown)?;
    let node = world.node_name(machine);
    match kind {
        Kind::Machine => Ok(machine.to_owned()),
        Kind::Node if world.knows_node(node) => Ok(node.to_owned()),
        Kind::Node => Err(unknown()),
    }
}
