//! Flags of the commands on what runs in the cluster.

use clap::Args;

use super::change::{DryRun, reason};

/// Which namespaces.
#[derive(Debug, Args)]
pub(crate) struct Namespaced {
    /// Namespace; by default that of the kubeconfig's context.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
}

/// Whether objects are really changed. Unlike a machine, a workload needs no reason.
#[derive(Debug, Args)]
pub(crate) struct ObjectChangeFlags {
    /// Why: recorded with the change where Kubernetes has a place for it.
    #[arg(short, long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: Option<String>,
    /// Print the plan and change nothing. With `server`, the server tries each change and keeps none.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_value_t, default_missing_value = "client",
          require_equals = true)]
    pub(crate) dry_run: DryRun,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
}
