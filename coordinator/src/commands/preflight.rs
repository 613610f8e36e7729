//! `usher preflight`: what a drain would find, without touching anything.

use serde::Serialize;

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

/// A headline for each node, and under it what stands against its drain.
pub(super) fn lines(drains: &[DrainPreview]) -> Vec<String> {
    let of_node = |drain: &DrainPreview| {
        let headline = format!("{}: {drain}", drain.node);
        std::iter::once(headline).chain(drain.lines().into_iter().map(|line| format!("  {line}"))).collect::<Vec<_>>()
    };
    drains.iter().flat_map(of_node).collect()
}
