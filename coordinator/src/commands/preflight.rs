//! `usher preflight`: what a drain would find, without touching anything.

use serde::Serialize;
use usher_core::nodeset::{self, FEW};

use super::{
    targets::{self, targets},
    world,
};
use crate::{
    cli::{Global, Preflight},
    drain::{Confirm, DrainPreview},
    exit::Exit,
    operation,
    problem::Problem,
    show::{self, Kind},
};

pub(super) async fn preflight(global: &Global, arguments: Preflight) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let options = arguments.eviction.to_request().options(&world.site);
    let nodes = targets(&world, &arguments.targets, targets::Kind::Node).await?;
    let drains = world.drainer().await.previews(&nodes, &options, Confirm::Everything).await?;
    show::show(Kind::Preflight, &Found { drains: &drains }, global.output, || lines(&drains).join("\n"))?;
    operation::short_refusal(&drains, &options).map_or(Ok(Exit::Done), Err)
}

/// What the drain of each node would find.
#[derive(Serialize)]
struct Found<'a> {
    drains: &'a [DrainPreview],
}

/// A headline for each node, and under it what stands against its drain. Many nodes of which the same is to be said share a headline.
pub(super) fn lines(drains: &[DrainPreview]) -> Vec<String> {
    let mut entries: Vec<(Vec<&str>, String, Vec<String>)> = Vec::new();
    for drain in drains {
        let (headline, lines) = (drain.to_string(), drain.lines());
        match entries.iter_mut().find(|(_, known, more)| lines.is_empty() && more.is_empty() && *known == headline) {
            Some((nodes, ..)) => nodes.push(&drain.node),
            None => entries.push((vec![&drain.node], headline, lines)),
        }
    }
    let mut told = Vec::new();
    for (nodes, headline, lines) in entries {
        match nodes.len() > FEW {
            true => told.push(format!("{}: {headline}", nodeset::listed(&nodes))),
            false => told.extend(nodes.iter().map(|node| format!("{node}: {headline}"))),
        }
        told.extend(lines.into_iter().map(|line| format!("  {line}")));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::{PodRef, StayReason, StayingPod};

    fn preview(node: &str, staying: usize) -> DrainPreview {
        let pod = |number: usize| PodRef { namespace: "web".into(), name: number.to_string(), uid: String::new() };
        let stay = (0..staying).map(|number| StayingPod { pod: pod(number), reason: StayReason::DaemonSet }).collect();
        DrainPreview { node: node.into(), stay, ..DrainPreview::default() }
    }

    #[test]
    fn many_nodes_of_which_the_same_is_to_be_said_share_a_line() {
        let named: Vec<_> = (1..=4).map(|number| preview(&format!("w{number}"), 1)).collect();
        assert_eq!(lines(&named), ["w[1-4]: 0 pods: 1 stays (DaemonSet)"]);
        let (few, other) = (&named[..2], preview("w9", 2));
        let expected =
            ["w1: 0 pods: 1 stays (DaemonSet)", "w2: 0 pods: 1 stays (DaemonSet)", "w9: 0 pods: 2 stay (DaemonSet)"];
        assert_eq!(lines(&[few, &[other]].concat()), expected);
    }
}
