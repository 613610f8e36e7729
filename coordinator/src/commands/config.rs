//! `usher config`: the cluster file, checked or shown as it applies.

mod check;
mod view;

use super::failure::Failure;
use crate::{
    cli::{ConfigCommand, Global},
    exit::Exit,
};

pub(super) async fn run(global: &Global, command: ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Check => check::check(global).await,
        ConfigCommand::View { show_origin } => view::view(global, show_origin),
    }
}
