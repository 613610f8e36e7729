//! `usher nodes`, and what is done to nodes: cordon, uncordon, drain, reboot.

use super::{
    change::carry_out,
    status,
    targets::{Kind, targets},
    watch, world,
};
use crate::{
    cli::{Drain, Global, Look, OnNodes, Reboot},
    exit::Exit,
    facts::Scope,
    problem::Problem,
    request, show,
};

pub(super) async fn nodes(global: &Global, look: &Look) -> Result<Exit, Problem> {
    watch::repeated(look.watch, async || list(global, look).await).await
}

async fn list(global: &Global, look: &Look) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let facts = world.look(&Scope { all: true, ..Scope::default() }).await?;
    let shown = status::shown(&facts, look);
    let table = || status::with_counts(&facts, &shown, look, global.output);
    show::list(show::Kind::NodeList, &shown.machines, global.output, table)?;
    Ok(Exit::Done)
}

pub(super) async fn cordon(global: &Global, arguments: OnNodes) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let nodes = targets(&world, &arguments.targets, Kind::Node).await?;
    carry_out(global, &world, &arguments.change, request::Kind::Cordon(request::OnNodes { nodes })).await
}

pub(super) async fn uncordon(global: &Global, arguments: OnNodes) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let nodes = targets(&world, &arguments.targets, Kind::Node).await?;
    carry_out(global, &world, &arguments.change, request::Kind::Uncordon(request::OnNodes { nodes })).await
}

pub(super) async fn drain(global: &Global, arguments: Drain) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let nodes = targets(&world, &arguments.targets, Kind::Node).await?;
    carry_out(global, &world, &arguments.change, arguments.to_request(nodes)).await
}

pub(super) async fn reboot(global: &Global, arguments: Reboot) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let machines = targets(&world, &arguments.targets, Kind::Machine).await?;
    carry_out(global, &world, &arguments.change, arguments.to_request(machines)).await
}
