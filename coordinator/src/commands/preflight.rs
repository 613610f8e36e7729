//! `usher preflight`: what a drain would find, without touching anything.

use super::{nodes, world};
use crate::{
    cli::{Global, Preflight},
    drain::{Confirm, DrainPreview},
    exit::Exit,
    operation,
    output::{self, Format},
    problem::Problem,
};

pub(super) async fn preflight(global: &Global, arguments: Preflight) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let options = arguments.eviction.to_request().options(&world.site);
    let nodes = nodes::targets(&world, &arguments.targets, nodes::Kind::Node).await?;
    let drains = world.drainer.previews(&nodes, &options, Confirm::Everything).await?;
    match global.output {
        Format::Json | Format::Yaml => output::result(&output::structured(&drains, global.output)?),
        Format::Table | Format::Wide => lines(&drains).iter().for_each(|line| output::result(line)),
    }
    operation::short_refusal(&drains, &options).map_or(Ok(Exit::Done), Err)
}

/// A headline for each node, and under it what stands against its drain.
pub(super) fn lines(drains: &[DrainPreview]) -> Vec<String> {
    let of_node = |drain: &DrainPreview| {
        let headline = format!("{}: {drain}", drain.node);
        std::iter::once(headline).chain(drain.lines().into_iter().map(|line| format!("  {line}"))).collect::<Vec<_>>()
    };
    drains.iter().flat_map(of_node).collect()
}
