//! `usher config`: the cluster file, written for the first time, checked, or shown as it applies.

mod check;
mod init;
mod view;

use crate::{
    cli::{ConfigCommand, Global},
    exit::Exit,
    problem::Problem,
};

pub(super) async fn run(global: &Global, command: ConfigCommand) -> Result<Exit, Problem> {
    match command {
        ConfigCommand::Init(arguments) => init::init(global, &arguments).await,
        ConfigCommand::Check => check::check(global).await,
        ConfigCommand::View { show_origin } => view::view(global, show_origin),
    }
}
