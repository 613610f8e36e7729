//! The way in: drains of one or many nodes through one client.

use std::fmt;

use k8s_openapi::api::core::v1::Node;
use kube::Client;
use tokio::time::Instant;

use super::{
    DrainError, DrainOptions, DrainProgress, Drained, daemon_sets::DaemonSets, deadline::Deadline, ledger::Ledger,
    pace::Pace, preview::Cleared, run::Drain, survey::Surveys,
};

/// Drains nodes through one client, which need not be one after another: all share one bound on the calls in flight, and one
/// look at the cluster. Clones share them too.
#[derive(Clone)]
pub struct Drainer<'a> {
    pub(super) client: Client,
    pub(super) surveys: Surveys,
    pub(super) cleared: Cleared,
    pub(super) daemon_sets: DaemonSets,
    pace: Pace,
    refill: Option<&'a Refill<'a>>,
}

impl fmt::Debug for Drainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drainer").finish_non_exhaustive()
    }
}

/// Tells whether somebody leads kube-controller-manager, which alone gives budgets their room back; None if that is not known.
/// Called often, so it must not wait.
pub type Refill<'a> = dyn Fn() -> Option<bool> + Send + Sync + 'a;

impl<'a> Drainer<'a> {
    /// `client` must not retry by itself (`default_retry` off), or blocked pods are seen too late.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            surveys: Surveys::default(),
            cleared: Cleared::default(),
            daemon_sets: DaemonSets::default(),
            pace: Pace::default(),
            refill: None,
        }
    }

    /// Spares the first look at the cluster the list of the nodes. `nodes` are all there are, read since `begun`.
    #[must_use]
    pub fn knowing(self, nodes: &[Node], begun: Instant) -> Self {
        Self { surveys: Surveys::of_nodes(nodes, begun), ..self }
    }

    /// Lets the drains say when pods wait for no other reason than that nobody refills budgets.
    pub fn asking(self, refill: &'a Refill<'a>) -> Self {
        Self { refill: Some(refill), ..self }
    }

    /// Evicts every pod from the node that has to go, and waits until it has gone. Cordon the node first.
    ///
    /// `progress` is told each time that something has changed.
    ///
    /// # Errors
    ///
    /// [`DrainError::Refused`] before anything is evicted if pods forbid it; [`DrainError::Failed`] as soon as nothing else
    /// is left than pods that cannot be evicted and pods that wait for a budget; [`DrainError::TimedOut`] after
    /// [`DrainOptions::timeout`]; [`DrainError::Api`] if the API refuses what a drain needs to know.
    pub async fn drain(
        &self,
        node: &str,
        options: &DrainOptions,
        progress: &mut (dyn FnMut(DrainProgress) + Send),
    ) -> Result<Drained, DrainError> {
        let started = Instant::now();
        let (deadline, passing) = Deadline::after(options.timeout, started);
        let mut drain = Drain {
            client: &self.client,
            node,
            options,
            pace: self.pace.clone(),
            refill: self.refill,
            ledger: Ledger::escalating(options.escalation),
            daemon_sets: self.daemon_sets.clone(),
            deadline,
        };
        // Everything that the drain waits for, calls in flight included, lives in this future and ends with it.
        let ended = tokio::select! {
            biased;
            ended = drain.empty_the_node(progress) => Some(ended),
            () = passing.passed() => None,
        };
        match ended {
            Some(Ok(())) => Ok(drain.ledger.close(started.elapsed())),
            Some(Err(error)) => Err(error),
            None => Err(DrainError::TimedOut {
                node: node.to_owned(),
                waited: started.elapsed(),
                remains: Box::new(drain.ledger.remains()),
            }),
        }
    }
}
