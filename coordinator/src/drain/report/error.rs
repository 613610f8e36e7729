//! Why a drain failed.

use std::{fmt, time::Duration};

use super::{
    outcome::{RefusedPod, Remains},
    text::grouped,
    verdict::PodVerdict,
};
use crate::{
    cluster::retry::error_message,
    text::{count, took},
};

/// Why a drain failed.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// kubectl's filters refuse pods on the node. If none was [moved](Remains::moved), nothing was evicted.
    #[error("{}", Forbidden(node, pods))]
    Refused {
        /// The node's name.
        node: String,
        /// The pods, with kubectl's reason for each.
        pods: Vec<RefusedPod>,
        /// What had happened before: a refused pod may come late.
        remains: Box<Remains>,
    },
    /// Pods on the node can never be evicted as things stand. Nothing was changed.
    #[error("{} on {node} can never be evicted as things stand", count(pods.len(), "pod"))]
    Never {
        /// The node's name.
        node: String,
        /// The pods, with what would let each go.
        pods: Vec<PodVerdict>,
        /// Empty.
        remains: Box<Remains>,
    },
    /// The server refuses some evictions for good; all other pods have gone or wait for a budget.
    #[error("{node} cannot be drained: {} cannot be evicted", count(remains.failed.len(), "pod"))]
    Failed {
        /// The node's name.
        node: String,
        /// What has gone, what has not, and why.
        remains: Box<Remains>,
    },
    /// The deadline passed.
    #[error("{node} was not empty after {}: {} gone", took(*waited), count(remains.moved.len(), "pod"))]
    TimedOut {
        /// The node's name.
        node: String,
        /// How long the drain took, leaderless time included.
        waited: Duration,
        /// What has gone, what has not, and why.
        remains: Box<Remains>,
    },
    /// It was told to stop.
    #[error("the drain of {node} was stopped: {} gone", count(remains.moved.len(), "pod"))]
    Stopped {
        /// The node's name.
        node: String,
        /// What has gone, and what has not.
        remains: Box<Remains>,
    },
    /// The API refused a request that a drain cannot do without.
    #[error("cannot {doing}: {message}")]
    Api {
        /// The request, as "list the pods on w1".
        doing: String,
        /// The server's message.
        message: String,
        /// What had happened before.
        remains: Box<Remains>,
    },
}

impl DrainError {
    /// The API refused before anything was evicted.
    pub(crate) fn before_anything(doing: String, error: &kube::Error) -> Self {
        Self::Api { doing, message: error_message(error), remains: Box::<Remains>::default() }
    }

    /// What has gone, what has not, and why.
    pub fn remains(&self) -> &Remains {
        match self {
            Self::Refused { remains, .. }
            | Self::Never { remains, .. }
            | Self::Failed { remains, .. }
            | Self::TimedOut { remains, .. }
            | Self::Stopped { remains, .. }
            | Self::Api { remains, .. } => remains,
        }
    }

    /// Whether no eviction was accepted: the node's pods are as they were.
    pub fn nothing_was_evicted(&self) -> bool {
        let Remains { moved, leaving, .. } = self.remains();
        moved.is_empty() && leaving.is_empty()
    }
}

/// The refusal as kubectl writes it: one line for each reason.
struct Forbidden<'a>(&'a str, &'a [RefusedPod]);

impl fmt::Display for Forbidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node, pods) = self;
        let reasons = pods.iter().map(|refused| (&refused.pod, refused.message.as_str()));
        write!(
            f,
            "{} on {node} {} a drain",
            count(pods.len(), "pod"),
            if pods.len() == 1 { "forbids" } else { "forbid" }
        )?;
        grouped(reasons).into_iter().try_for_each(|line| write!(f, "\ncannot delete {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::report::{BlockedPod, PodRef};

    fn pod(name: &str) -> PodRef {
        PodRef { namespace: "web".into(), name: name.into(), uid: name.into() }
    }

    #[test]
    fn a_refusal_reads_as_kubectls() {
        let refused = |name, message: &str| RefusedPod { pod: pod(name), message: message.into() };
        let error = DrainError::Refused {
            node: "w1".into(),
            pods: vec![refused("a", "Pods with x"), refused("b", "Pods with y"), refused("c", "Pods with x")],
            remains: Box::default(),
        };
        assert_eq!(
            error.to_string(),
            "3 pods on w1 forbid a drain\ncannot delete Pods with x: web/a, web/c\ncannot delete Pods with y: web/b"
        );
        assert!(error.nothing_was_evicted());
    }

    #[test]
    fn what_is_left_is_named_with_the_reason() {
        let since = jiff::Timestamp::UNIX_EPOCH;
        let blocked = BlockedPod {
            pod: pod("a"),
            budget: Some("web".into()),
            webhook: None,
            message: "The disruption budget web needs 8 healthy pods and has 8 currently".into(),
            since,
            next_try: since,
        };
        let remains = Remains {
            blocked: vec![blocked],
            leaving: vec![pod("b")],
            volumes: vec!["pv-1".into()],
            ..Remains::default()
        };
        assert_eq!(
            remains.lines(since + jiff::SignedDuration::from_secs(9)),
            [
                "web/a: The disruption budget web needs 8 healthy pods and has 8 currently (refused for 9s)",
                "web/b: told to go, has not ended",
                "volume pv-1 is still attached",
            ]
        );
        let error =
            DrainError::TimedOut { node: "w1".into(), waited: Duration::from_secs(600), remains: Box::new(remains) };
        assert_eq!(error.to_string(), "w1 was not empty after 10m0s: 0 pods gone");
        assert!(!error.nothing_was_evicted());
    }
}
