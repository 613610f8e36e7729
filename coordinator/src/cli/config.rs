//! `usher config`.

use clap::{Args, Subcommand};

use super::exits::{CLUSTERS, FILES, exits};

const INIT: &str = "\
The file goes where --cluster-file says, else to ~/.config/usher/cluster.toml, for root to /etc/usher/cluster.toml.

Examples:
  usher config init --print
  usher config init --context admin@eqiad
  usher config init --cluster-file /etc/usher/clusters.d/eqiad.toml";

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a first cluster file by looking at the cluster, and ask for what cannot be seen.
    #[command(after_long_help = exits(&CLUSTERS, INIT))]
    Init(ConfigInit),
    /// Check the cluster file, and say what usher would talk to.
    #[command(after_long_help = exits(&CLUSTERS, ""))]
    Check,
    /// Print the configuration that applies: the cluster file's, with every default filled in.
    #[command(after_long_help = exits(&FILES, ""))]
    View {
        /// Say where each value comes from: file and line, default, flag or environment.
        #[arg(long)]
        show_origin: bool,
    },
}

/// `usher config init`.
#[derive(Debug, Args)]
pub(crate) struct ConfigInit {
    /// What the cluster is to be called; by default what the kubeconfig calls it.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print the file and write nothing.
    #[arg(long)]
    pub(crate) print: bool,
    /// Ask nothing: take what is probably meant.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Replace a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
}
