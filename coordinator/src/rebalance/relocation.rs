//! The move of one pod: its eviction, and its successor until that is ready.

use std::time::Duration;

use kube::Client;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    guest::Kind,
    successor::{Sibling, Siblings},
};
use crate::{
    cluster::retry::jittered,
    drain::{
        PodRef,
        evict::{EvictionOptions, Outcome, Pace, evict},
    },
};

/// How long the server may be busy or unreachable before an eviction is given up: an apiserver restarts within that time.
const SERVER_PATIENCE: Duration = Duration::from_secs(60);

/// The shortest pause between tries of one eviction.
const PAUSE: Duration = Duration::from_millis(500);

/// A controller that has made no successor so long after a pod has gone will make none: it was scaled down or replaced.
const NO_SUCCESSOR_AFTER: Duration = Duration::from_secs(30);

/// What became of a pod that was to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its successor is ready on this node.
    Landed { node: String, successor: String, took: Duration },
    /// A budget forbids the eviction for now. Nothing has happened.
    Blocked { message: String, retry_after: Duration },
    /// The server never evicts it. Nothing has happened.
    Refused { message: String },
    /// It was there no longer.
    Gone,
    /// It went, and its controller made no successor.
    NoSuccessor,
    /// It went, and its successor was not ready in time.
    NotReady { node: Option<String>, successor: Option<String>, waited: Duration },
    /// The API cannot be used.
    Failed { doing: &'static str, message: String },
}

/// A pod that is to be moved.
#[derive(Debug, Clone)]
pub(super) struct Relocation {
    pub(super) pod: PodRef,
    pub(super) kind: Kind,
    pub(super) options: EvictionOptions,
    /// How long the successor may take until it is ready, once the pod's own grace period is over.
    pub(super) ready_within: Duration,
}

impl Relocation {
    /// Moves the pod. Dropped, it leaves the pod's controller to finish what the eviction began.
    pub(super) async fn finish(self, client: Client, pace: Pace) -> Fate {
        let mut siblings = Siblings::of(&client, &self.pod, &self.kind);
        if let Err(message) = siblings.listed().await {
            return Fate::Failed { doing: "watch the pods of its controller", message };
        }
        let begun = Instant::now();
        match self.evict(&client, &pace).await {
            Outcome::Accepted => {}
            Outcome::Gone => return Fate::Gone,
            Outcome::Blocked { message, retry_after, .. } => return Fate::Blocked { message, retry_after },
            Outcome::Failed { message } | Outcome::Denied { message, .. } => return Fate::Refused { message },
            Outcome::NamespaceTerminating => return Fate::Refused { message: "its namespace is being deleted".into() },
            Outcome::Retry { message, .. } => return Fate::Failed { doing: "evict a pod", message },
            // Nothing asks for one here.
            Outcome::Replacing { .. } => return Fate::Refused { message: "it is being replaced already".into() },
        }
        self.follow(&mut siblings, begun).await
    }

    /// Asks again while the server is busy or away.
    async fn evict(&self, client: &Client, pace: &Pace) -> Outcome {
        let begun = Instant::now();
        loop {
            let outcome = pace.paced(evict(client, &self.pod, self.options)).await;
            let Outcome::Retry { retry_after, .. } = &outcome else { return outcome };
            if begun.elapsed() >= SERVER_PATIENCE {
                return outcome;
            }
            sleep(jittered((*retry_after).max(PAUSE))).await;
        }
    }

    async fn follow(&self, siblings: &mut Siblings, begun: Instant) -> Fate {
        let deadline = Instant::now() + self.kind.grace + self.ready_within;
        let mut gone_since = None;
        loop {
            let successor = siblings.successor();
            if let Some(Sibling { pod, node: Some(node), ready: true, .. }) = successor {
                return Fate::Landed { node: node.clone(), successor: pod.name.clone(), took: begun.elapsed() };
            }
            let now = Instant::now();
            let mut until = deadline;
            if successor.is_none() && !siblings.has(&self.pod) {
                let since = *gone_since.get_or_insert(now);
                until = until.min(since + NO_SUCCESSOR_AFTER);
                if now >= since + NO_SUCCESSOR_AFTER {
                    return Fate::NoSuccessor;
                }
            } else {
                gone_since = None;
            }
            if now >= deadline {
                let node = successor.and_then(|successor| successor.node.clone());
                let successor = successor.map(|successor| successor.pod.name.clone());
                return Fate::NotReady { node, successor, waited: begun.elapsed() };
            }
            // Out of time is found out above.
            if let Ok(Err(message)) = timeout_at(until, siblings.changed()).await {
                return Fate::Failed { doing: "watch the pods of its controller", message };
            }
        }
    }
}
