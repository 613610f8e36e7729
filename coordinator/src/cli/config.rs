//! `usher config`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the cluster file, and say what usher would talk to.
    Check,
}
