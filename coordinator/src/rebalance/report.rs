//! What a turn is to do, what it tells meanwhile, and how it ends.

use std::time::Duration;

use serde::Serialize;

use super::preview::rounded;
use crate::{
    drain::{DrainError, PodRef},
    text::took,
};

/// What a turn is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn<'a> {
    /// The node that gets pods.
    pub to: &'a str,
    /// All nodes that get pods in this operation. A successor that goes to any of them went well.
    pub among: &'a [String],
    /// At most so many evictions; None for as many as the node's share needs.
    pub max_moves: Option<usize>,
    /// Pods that are under way at a time; at least 1. Two pods of one controller never are.
    pub at_a_time: usize,
    /// How long a successor may take until it is ready, once the pod's grace period is over.
    pub ready_within: Duration,
}

/// A pod that was moved.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// The pod that was evicted; in JSON its fields stand beside the others.
    #[serde(flatten)]
    pub pod: PodRef,
    /// The node that it left.
    pub from: String,
    /// The node that its successor is on.
    pub to: String,
    /// The successor's name.
    pub successor: String,
    /// Whether that is one of the nodes that were to get pods.
    pub wanted: bool,
    /// From the eviction until the successor was ready.
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
}

/// Something that an operator wants to hear of meanwhile.
#[derive(Debug)]
pub enum Stage<'m> {
    /// What it waits for; replaces what it said before.
    Waiting(String),
    Moved(&'m Moved),
    /// A pod that stays after all, or has gone.
    Warned(String),
}

/// Why a turn ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The node's load is near the mean.
    HasItsShare,
    /// No pod that is left fits and would help.
    NothingHelps,
    /// As many pods were moved as the operator allowed.
    MostMoves,
    /// Pods in a row went elsewhere.
    WentElsewhere,
    /// Only pods are left whose budgets have not allowed an eviction for a while: the server's last message.
    BudgetsClosed(String),
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Rebalanced {
    pub end: End,
    /// In percent, as the mean.
    pub load_percent: f64,
    /// The mean load of the nodes with the same taints.
    pub mean_percent: f64,
}

/// Why a turn did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RebalanceError {
    #[error(transparent)]
    Survey(#[from] DrainError),
    /// The API cannot be used.
    #[error("cannot {doing}: {message}")]
    Api {
        /// As "evict a pod".
        doing: &'static str,
        message: String,
    },
    /// The successor of a pod is not ready.
    #[error("{} of {pod} is not ready {} after its eviction", successor.as_deref().unwrap_or("the successor"), took(*waited))]
    NotReady {
        pod: Box<PodRef>,
        /// Its name, if there is one.
        successor: Option<String>,
        /// The node that it is on, if it is on one.
        node: Option<String>,
        waited: Duration,
    },
    /// The node is closed to pods.
    #[error("{node} takes no pods any more: it is cordoned, not Ready or gone")]
    Closed { node: String },
}

impl Rebalanced {
    /// In words, as `it has its share: load 43%, the mean is 45%`.
    pub fn to_text(&self) -> String {
        let why = match &self.end {
            End::HasItsShare => "it has its share".to_owned(),
            End::NothingHelps => "no other pod fits and would help".to_owned(),
            End::MostMoves => "as many as were allowed".to_owned(),
            End::WentElsewhere => "given up: the scheduler put two pods in a row elsewhere".to_owned(),
            End::BudgetsClosed(message) => format!("given up: {message}"),
        };
        format!("{why}: load {}, the mean is {}", rounded(self.load_percent), rounded(self.mean_percent))
    }
}
