//! Which Nodes and machines the operator named or selected.

use std::{collections::BTreeSet, path::Path};

use usher_core::nodeset::NodeSet;

use crate::{
    cli::{Targets, names},
    problem::Problem,
    world::World,
};

/// What may be named as a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A Node of the cluster. Kubernetes knows it by its own name.
    Node,
    /// A Node, or a machine of the control plane that need not be one. It goes by the name in the cluster file.
    Machine,
}

/// The targets that were named or selected, without those that are to be left out. All are looked up before the first is touched.
/// Names may be written as kubectl does: `node/w1`.
pub(super) async fn targets(world: &World, targets: &Targets, kind: Kind) -> Result<Vec<String>, Problem> {
    let Targets { nodes, selector, nodes_from, exclude } = targets;
    let named = match (selector, nodes_from) {
        (None, None) => names(nodes),
        (None, Some(path)) => names(nodes).into_iter().chain(read(path)?).collect(),
        (Some(selector), _) => {
            let found: Vec<_> = world.cluster.nodes_matching(selector).await?.into_keys().collect();
            if found.is_empty() {
                return Err(Problem::refused(format!("no node matches the selector {selector:?}"))
                    .hint("see them: kubectl get nodes --show-labels"));
            }
            found
        }
    };
    let excluded = names(exclude);
    let excluded: BTreeSet<String> =
        excluded.iter().map(|name| target(world, node_name(name), kind)).collect::<Result<_, _>>()?;
    let (mut chosen, mut seen) = (Vec::new(), BTreeSet::new());
    for name in named {
        let name = target(world, node_name(&name), kind)?;
        if !excluded.contains(&name) && seen.insert(name.clone()) {
            chosen.push(name);
        }
    }
    if chosen.is_empty() {
        return Err(Problem::refused("no node is left: all that were named are excluded too"));
    }
    Ok(chosen)
}

/// The names in a file: a name or set on each line, without what follows a `#`.
fn read(path: &Path) -> Result<Vec<String>, Problem> {
    let failed =
        |error: std::io::Error| Problem::usage(format!("cannot read the nodes in {}: {error}", path.display()));
    #[allow(clippy::disallowed_methods)] // the list that an operator names
    let text =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let mut found = Vec::new();
    for (number, line) in text.map_err(failed)?.lines().enumerate() {
        for word in line.split('#').next().unwrap_or_default().split_whitespace() {
            let NodeSet(names) =
                word.parse().map_err(|error| Problem::usage(format!("{}:{}: {error}", path.display(), number + 1)))?;
            found.extend(names);
        }
    }
    match found.is_empty() {
        true => Err(Problem::usage(format!("{} names no node", path.display()))),
        false => Ok(found),
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // the file that an operator writes

    use super::*;

    #[test]
    fn a_file_names_nodes_and_sets_and_may_have_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes");
        std::fs::write(&path, "# row C\nw[1-3]\n\n  w7 w9  # spare\n").unwrap();
        assert_eq!(read(&path).unwrap(), ["w1", "w2", "w3", "w7", "w9"]);
        std::fs::write(&path, "w1\nw[2\n").unwrap();
        assert!(read(&path).unwrap_err().message.contains("nodes:2: \"w[2\" is no set of names"));
        std::fs::write(&path, "# none\n").unwrap();
        assert!(read(&path).unwrap_err().message.ends_with("names no node"));
    }
}
