//! `usher restart`.

use super::{change::carry_out, world};
use crate::{
    cli::{Global, Restart},
    exit::Exit,
    problem::Problem,
    request,
};

pub(super) async fn restart(global: &Global, arguments: Restart) -> Result<Exit, Problem> {
    let Restart { components, nodes: machines, gap, handover, assume_leader: assumed_leaders, change } = arguments;
    let world = world(global).await?;
    let restart = request::Restart { components, machines, gap, handover, assumed_leaders };
    carry_out(global, &world, &change, request::Kind::Restart(restart)).await
}
