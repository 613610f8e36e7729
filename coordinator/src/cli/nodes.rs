//! Commands on nodes: cordon, uncordon, preflight, drain.

use std::{num::NonZeroU8, path::PathBuf};

use clap::{Args, ValueEnum};
use usher_core::nodeset::NodeSet;

use super::{change::ChangeFlags, eviction::Eviction};
use crate::{
    facts::{Machine, Unusual},
    request,
};

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  usher status
  usher status --only unusual
  usher status --watch
  usher status --check && usher restart kube-scheduler -r 'new flags'
  usher status -o json | jq '.leaders'";

pub(super) const NODES_EXAMPLES: &str = "\
Examples:
  usher nodes -o wide
  usher nodes --only cordoned --only not-ready
  usher nodes --only reboot-wanted -o jsonpath='{range .items[*]}{.name}{\"\\n\"}{end}' > nodes.txt";

pub(super) const CORDON_EXAMPLES: &str = "\
Examples:
  usher cordon w1 -r 'disk check'
  usher cordon 'w[1-20,23]' --exclude w7 -r 'rack C5'";

pub(super) const UNCORDON_EXAMPLES: &str = "\
Examples:
  usher uncordon w1 -r 'disk is well'
  usher uncordon --nodes-from nodes.txt -r 'rack C5 is back'";

pub(super) const DRAIN_EXAMPLES: &str = "\
Examples:
  usher drain w1 --dry-run
  usher drain 'w[1-20]' --concurrency 4 -r 'rack C5'
  usher drain -l rack=c5 --exclude w7 -r 'rack C5'";

pub(super) const PREFLIGHT_EXAMPLES: &str = "\
Examples:
  usher preflight w1
  usher preflight 'w[1-20]' -o json | jq '.drains[].node'";

/// Which machines to show.
#[derive(Debug, Default, Args)]
pub(crate) struct Look {
    /// Show only machines like this, and count the others; may be repeated.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) only: Vec<Only>,
    /// Look again every five seconds, until it is interrupted.
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// `usher status`.
#[derive(Debug, Default, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) look: Look,
    /// End with exit code 3 unless it is safe to begin: the lock is free, every component has a living leader, every apiserver is
    /// ready, no machine of the control plane is held, silent or not listed.
    #[arg(long, conflicts_with = "watch")]
    pub(crate) check: bool,
}

/// Kinds of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// All that speak for a second look, for whatever reason.
    Unusual,
    /// Nodes that are not Ready.
    NotReady,
    /// Nodes that are cordoned.
    Cordoned,
    /// Machines whose agent does not answer.
    Silent,
    /// Machines on which somebody waits for the restart of a unit.
    RestartWanted,
    /// Machines on which an update waits for a reboot.
    RebootWanted,
}

impl Look {
    /// Whether the machine is to be shown.
    pub(crate) fn shows(&self, machine: &Machine) -> bool {
        let unusual = machine.unusual();
        let is = |only: &Only| match only {
            Only::Unusual => unusual.iter().any(|what| what.speaks_for_a_look()),
            Only::NotReady => unusual.contains(&Unusual::NotReady),
            Only::Cordoned => unusual.contains(&Unusual::Cordoned),
            Only::Silent => unusual.contains(&Unusual::AgentSilent),
            Only::RestartWanted => unusual.contains(&Unusual::RestartWanted),
            Only::RebootWanted => unusual.contains(&Unusual::RebootWanted),
        };
        self.only.is_empty() || self.only.iter().any(is)
    }
}

/// Which nodes.
#[derive(Debug, Default, Args)]
pub(crate) struct Targets {
    /// Nodes or control-plane machines: names, or sets such as w[1-20,23] (quote them for the shell).
    #[arg(value_name = "NODE", required_unless_present_any = ["selector", "nodes_from"], conflicts_with = "selector")]
    pub(crate) nodes: Vec<NodeSet>,
    /// All nodes whose labels match.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// The nodes in this file, a name or set on each line; - reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "selector")]
    pub(crate) nodes_from: Option<PathBuf>,
    /// Leave these nodes out: names or sets; may be repeated.
    #[arg(long, value_name = "NODE")]
    pub(crate) exclude: Vec<NodeSet>,
}

/// The names in several sets, in their order.
pub(crate) fn names(sets: &[NodeSet]) -> Vec<String> {
    sets.iter().flat_map(|NodeSet(names)| names.iter().cloned()).collect()
}

/// `usher cordon` and `usher uncordon`.
#[derive(Debug, Args)]
pub(crate) struct OnNodes {
    #[command(flatten)]
    pub(crate) targets: Targets,
    #[command(flatten)]
    pub(crate) change: ChangeFlags,
}

/// `usher preflight`.
#[derive(Debug, Args)]
pub(crate) struct Preflight {
    #[command(flatten)]
    pub(crate) targets: Targets,
    #[command(flatten)]
    pub(crate) eviction: Eviction,
}

/// `usher drain`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// Drain this many nodes at a time, once all are cordoned.
    #[arg(long, value_name = "NUMBER", default_value_t = NonZeroU8::MIN)]
    pub(crate) concurrency: NonZeroU8,
    // Before the flags that have a heading of their own.
    #[command(flatten)]
    pub(crate) change: ChangeFlags,
    #[command(flatten)]
    pub(crate) eviction: Eviction,
}

impl Drain {
    /// The request that the flags make for these nodes.
    pub(crate) fn to_request(&self, nodes: Vec<String>) -> request::Kind {
        let Self { targets: _, concurrency, change: _, eviction } = self;
        let concurrency = concurrency.get().into();
        request::Kind::Drain(request::Drain { nodes, concurrency, eviction: eviction.to_request() })
    }
}
