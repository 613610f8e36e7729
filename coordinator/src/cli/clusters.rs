//! `usher clusters`.

use clap::{Args, Subcommand, ValueEnum};

use super::exits::{CLUSTERS, FILES, exits};
use crate::site::Shell;

pub(super) const EXAMPLES: &str = "\
Examples:
  usher clusters list
  usher clusters use staging-codfw
  eval \"$(usher clusters env codfw mathoid --user deploy)\"
  usher clusters env codfw --shell fish | source";

#[derive(Debug, Subcommand)]
pub(crate) enum ClustersCommand {
    /// List the clusters: where each is, and which one commands are about and why.
    #[command(after_long_help = exits(&FILES, ""))]
    List,
    /// Show one cluster, by name or alias.
    #[command(after_long_help = exits(&FILES, ""))]
    Show {
        /// The cluster; by default the one that commands are about.
        name: Option<String>,
    },
    /// Remember the cluster that this user's commands are about, unless --cluster or $USHER_CLUSTER says otherwise.
    #[command(after_long_help = exits(&FILES, ""))]
    Use {
        /// The cluster, by name or alias.
        #[arg(required_unless_present = "clear", conflicts_with = "clear")]
        name: Option<String>,
        /// Forget it.
        #[arg(long)]
        clear: bool,
    },
    /// Print what a shell is to set so that kubectl, helm and usher talk to one cluster.
    #[command(after_long_help = exits(&CLUSTERS, EXAMPLES))]
    Env(Environment),
}

/// `usher clusters env`. The global flag `--user` says for which user.
#[derive(Debug, Args)]
pub(crate) struct Environment {
    /// The cluster, by name or alias.
    pub(crate) name: String,
    /// The service whose user and namespace are wanted.
    pub(crate) service: Option<String>,
    /// Whose syntax to print.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) shell: ShellName,
}

/// Shells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellName {
    /// sh, bash, zsh and others of POSIX.
    #[default]
    Posix,
    /// fish.
    Fish,
}

impl From<ShellName> for Shell {
    fn from(name: ShellName) -> Self {
        match name {
            ShellName::Posix => Self::Posix,
            ShellName::Fish => Self::Fish,
        }
    }
}
