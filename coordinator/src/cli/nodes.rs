//! Commands on nodes: cordon, uncordon, preflight, drain.

use std::num::NonZeroU8;

use clap::Args;

use super::{change::ChangeFlags, eviction::Eviction};
use crate::request;

/// Which nodes.
#[derive(Debug, Args)]
pub(crate) struct Targets {
    /// Names of nodes or control-plane machines.
    #[arg(value_name = "NODE", required_unless_present = "selector", conflicts_with = "selector")]
    pub(crate) nodes: Vec<String>,
    /// All nodes whose labels match.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
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
