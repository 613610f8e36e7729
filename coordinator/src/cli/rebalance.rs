//! `usher rebalance`.

use std::num::{NonZeroU8, NonZeroU16};

use clap::Args;
use usher_core::nodeset::NodeSet;

use super::change::ChangeFlags;
use crate::{drain::PodSelector, request};

pub(super) const EXAMPLES: &str = "\
Examples:
  usher rebalance w1 --dry-run
  usher rebalance w1 -r 'empty since its reboot'
  usher rebalance -r 'after the kernel roll' --max-moves 20 --concurrency 3";

#[derive(Debug, Args)]
pub(crate) struct Rebalance {
    /// The nodes that get pods, names or sets such as w[1-20]; by default all that have far fewer than their share.
    #[arg(value_name = "NODE", conflicts_with = "selector")]
    pub(crate) nodes: Vec<NodeSet>,
    /// The nodes that get pods: all whose labels match.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Move at most this many pods to each node.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_moves: Option<NonZeroU16>,
    /// Move this many pods at a time, never two of one workload.
    #[arg(long, value_name = "NUMBER", default_value_t = NonZeroU8::MIN)]
    pub(crate) concurrency: NonZeroU8,
    /// Move only pods with these labels.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) pod_selector: Option<PodSelector>,
    /// Leave the pods with these labels alone; may be repeated.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) skip_pods: Vec<PodSelector>,
    #[command(flatten)]
    pub(crate) change: ChangeFlags,
}

impl Rebalance {
    /// The request that the flags make for these nodes.
    pub(crate) fn to_request(&self, nodes: Vec<String>) -> request::Kind {
        let Self { nodes: _, selector: _, max_moves: _, concurrency, pod_selector, skip_pods, change: _ } = self;
        request::Kind::Rebalance(request::Rebalance {
            nodes,
            max_moves: self.max_moves(),
            concurrency: concurrency.get().into(),
            pod_selector: pod_selector.clone(),
            skip_pods: skip_pods.clone(),
        })
    }

    /// At most this number of pods to each node.
    pub(crate) fn max_moves(&self) -> Option<usize> {
        self.max_moves.map(|most| most.get().into())
    }
}
