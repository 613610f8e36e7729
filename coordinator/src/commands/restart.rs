//! `usher restart`.

use super::{change::carry_out, world};
use crate::{
    cli::{Global, Restart},
    exit::Exit,
    problem::Problem,
};

pub(super) async fn restart(global: &Global, arguments: Restart) -> Result<Exit, Problem> {
    let world = world(global).await?;
    carry_out(global, &world, &arguments.change, arguments.to_request()).await
}
