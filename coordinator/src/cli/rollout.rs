//! Commands on rollouts: restart, status, undo.

use std::{num::NonZeroU16, time::Duration};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{
    exits::{WORKLOADS, exits},
    values::duration,
    workload::{Namespaced, ObjectChangeFlags},
};
use crate::drain::PodSelector;

const RESTART: &str = "\
Examples:
  usher rollout restart deployment/web -n shop
  usher rollout restart deployment,daemonset -n shop --dry-run=server
  usher rollout restart deployment --namespaces-matching app.kubernetes.io/managed-by=Helm -r 'new CA'
  usher rollout restart daemonset/agent -n kube-system --no-wait";

const STATUS: &str = "\
Examples:
  usher rollout status -n shop
  usher rollout status deployment/web -n shop --wait --timeout 10m";

const UNDO: &str = "\
Examples:
  usher rollout undo deployment/web -n shop --restarted-at 2026-11-25T12:00:00Z
  usher rollout undo statefulset/db -n shop --dry-run";

/// `usher rollout`.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Replace the pods of workloads bit by bit, and wait until the new ones are available.
    #[command(after_long_help = exits(&WORKLOADS, RESTART))]
    Restart(RolloutRestart),
    /// Show how far rollouts have come, and what keeps them.
    #[command(after_long_help = exits(&WORKLOADS, STATUS))]
    Status(RolloutStatus),
    /// Take workloads back to the revision before.
    #[command(after_long_help = exits(&WORKLOADS, UNDO))]
    Undo(RolloutUndo),
}

/// Which workloads.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// Deployments, StatefulSets, DaemonSets: KIND/NAME..., KIND NAME..., or KIND[,KIND...] for all of a kind.
    #[arg(value_name = "WORKLOAD")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) namespaced: Namespaced,
    /// All namespaces whose labels match.
    #[arg(long, value_name = "SELECTOR", conflicts_with_all = ["namespace", "all_namespaces"])]
    pub(crate) namespaces_matching: Option<PodSelector>,
    /// Only workloads whose labels match.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<PodSelector>,
}

/// How many at a time, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    /// Workloads that roll at a time.
    // Ten keep the controllers busy, which write 20 times a second by default; more would only bring more pods at once.
    #[arg(long, value_name = "NUMBER", default_value = "10")]
    pub(crate) concurrency: NonZeroU16,
    /// Begin with further workloads although this many have failed.
    #[arg(long, value_name = "NUMBER", default_value_t)]
    pub(crate) max_failures: u16,
    /// Give up waiting after this time; 0, the default, means never.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Change all workloads at once, and wait for none.
    #[arg(long, conflicts_with_all = ["concurrency", "max_failures", "timeout"])]
    pub(crate) no_wait: bool,
}

/// `usher rollout restart`.
#[derive(Debug, Args)]
pub(crate) struct RolloutRestart {
    #[command(flatten)]
    pub(crate) scope: Scope,
    #[command(flatten)]
    pub(crate) follow: Follow,
    #[command(flatten)]
    pub(crate) change: ObjectChangeFlags,
}

/// `usher rollout status`.
#[derive(Debug, Args)]
pub(crate) struct RolloutStatus {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Wait until each is complete or has failed. Unlike kubectl, usher does not wait by default.
    #[arg(short, long)]
    pub(crate) wait: bool,
    /// Give up waiting after this time; 0, the default, means never.
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "wait")]
    pub(crate) timeout: Option<Duration>,
}

/// `usher rollout undo`.
#[derive(Debug, Args)]
pub(crate) struct RolloutUndo {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Only where the last change is the restart of this time, and nothing else would be taken back with it.
    #[arg(long, value_name = "TIME")]
    pub(crate) restarted_at: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) follow: Follow,
    #[command(flatten)]
    pub(crate) change: ObjectChangeFlags,
}
