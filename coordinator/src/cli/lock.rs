//! `usher lock`: the cluster's lock, for tools that are not usher.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{
    change::reason,
    exits::{LOOKS, exits, of_a_run},
    values::duration,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  usher lock show
  usher lock run -r 'etcd defragmentation' -t T400123 -- etcdctl defrag --cluster
  usher lock run -r 'apt upgrade' --wait 30m -- ssh cp1 apt-get install -y kubernetes-master";

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Show who holds the lock.
    #[command(after_long_help = exits(&LOOKS, ""))]
    Show,
    /// Run a command of another tool while holding the lock, so that no operation of usher begins meanwhile.
    ///
    /// It ends with the command's own exit code, 128 and the number of the signal if one ended it. It ends with usher's exit code, and
    /// the command is not run, if the lock is held by another (6) or cannot be had. If the lock is lost meanwhile, a warning says so and
    /// the command goes on. The command finds USHER_OPERATION and USHER_EPOCH in its environment. usher itself must not be the command:
    /// it would wait for its own lock.
    #[command(after_long_help = of_a_run())]
    Run(LockRun),
}

#[derive(Debug, Args)]
pub(crate) struct LockRun {
    /// Why: recorded in the lock.
    #[arg(short, long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
    /// The ticket that this belongs to.
    #[arg(short, long, value_name = "ID")]
    pub(crate) task_id: Option<String>,
    /// How long to wait while another holds the lock.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) wait: Duration,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) argv: Vec<String>,
}
