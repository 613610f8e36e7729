//! `usher config`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the cluster file, and say what usher would talk to.
    Check,
    /// Print the configuration that applies: the cluster file's, with every default filled in.
    View {
        /// Say where each value comes from: file and line, default, flag or environment.
        #[arg(long)]
        show_origin: bool,
    },
}
