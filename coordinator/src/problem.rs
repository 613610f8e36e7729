//! What errors of the edges mean to an operator: which kind of problem, and what to do next.

use usher_common::chain;
pub use usher_core::problem::{Kind, Problem};

use crate::{
    agents::AgentError,
    certificates::CertificateError,
    cluster::{ClusterError, ConnectError, ImplausibleEpoch, LockError},
    drain::{self, DrainError},
    rebalance::RebalanceError,
    text,
    workloads::replace::LookupError,
};

impl From<ConnectError> for Problem {
    fn from(error: ConnectError) -> Self {
        let ConnectError::AnotherCluster { site, kubeconfig, context } = &error else {
            return Self::usage(chain(&error));
        };
        let context = context.as_deref().unwrap_or(kubeconfig);
        Self::refused(chain(&error))
            .hint(format!("if {kubeconfig:?} is what you want: name its cluster file with --cluster-file"))
            .hint(format!("if {site:?} is: name its context with --context, or its file with --kubeconfig"))
            .hint(format!("if both are one cluster: set [api] context = {context:?} in the cluster file"))
    }
}

impl From<ClusterError> for Problem {
    fn from(error: ClusterError) -> Self {
        let problem = Self::failed(chain(&error));
        if error.is_unreachable() {
            return problem
                .hint("if the API is down, agents still answer: usher agent status NODE; usher agent units NODE");
        }
        if error.is_unauthenticated() {
            let details = match &error {
                ClusterError::Credentials { credentials, .. } => credentials.details().to_vec(),
                _ => Vec::new(),
            };
            return problem
                .details(details)
                .hint("log in again as you do for kubectl, until this answers: kubectl auth whoami; then go on, or begin again");
        }
        if error.is_forbidden() {
            return problem.hint("see which rights are missing: usher doctor; who you are: kubectl auth whoami");
        }
        problem
    }
}

impl From<AgentError> for Problem {
    fn from(error: AgentError) -> Self {
        let kind = match &error {
            AgentError::Refused { .. } => Kind::Refused,
            AgentError::TimedOut { .. } => Kind::TimedOut,
            AgentError::AnswerLost { .. } => Kind::Unknown,
            AgentError::Config { .. } => Kind::Usage,
            AgentError::Unreachable { .. }
            | AgentError::NotTrusted { .. }
            | AgentError::AnotherMachine { .. }
            | AgentError::NotSent { .. } => Kind::Failed,
        };
        Self { hints: error.hint().into_iter().collect(), ..Self::new(kind, chain(&error)) }
    }
}

/// The operation may have lost the cluster's lock to another one.
pub(crate) fn lock_lost() -> Problem {
    Problem::failed("the cluster's lock was lost: another operation may have begun")
        .hint("see who holds it: usher status")
}

impl From<DrainError> for Problem {
    fn from(error: DrainError) -> Self {
        let kind = match &error {
            DrainError::TimedOut { .. } => Kind::TimedOut,
            DrainError::Stopped { .. } => Kind::Interrupted,
            DrainError::Never { .. } => Kind::Refused,
            DrainError::Refused { .. } if error.nothing_was_evicted() => Kind::Refused,
            _ => Kind::Failed,
        };
        let never = match &error {
            DrainError::Never { pods, .. } => drain::never_lines(pods),
            _ => Vec::new(),
        };
        Self::new(kind, chain(&error)).details(never).details(error.remains().lines(usher_common::clock::now()))
    }
}

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Self {
        let LookupError::Missing { kind, namespace, nearest, .. } = &error else {
            let LookupError::Cluster(error) = error else { return Self::failed(chain(&error)) };
            return error.into();
        };
        let command = if *kind == "job" { "jobs" } else { "cronjobs" };
        Self::refused(error.to_string())
            .meant(nearest.as_deref())
            .hint(format!("see them: usher {command} list -n {namespace}"))
    }
}

impl From<RebalanceError> for Problem {
    fn from(error: RebalanceError) -> Self {
        let message = chain(&error);
        match error {
            RebalanceError::Survey(error) => error.into(),
            RebalanceError::Api { .. } => Self::failed(message),
            RebalanceError::Closed { node } => {
                Self::failed(message).hint(format!("see why: usher nodes; kubectl describe node {node}"))
            }
            RebalanceError::NotReady { pod, successor, node, .. } => {
                let place = node.map_or_else(|| "it is on no node yet".to_owned(), |node| format!("it is on {node}"));
                let what = match successor {
                    Some(name) => format!("kubectl -n {} describe pod {name}", pod.namespace),
                    None => format!("kubectl -n {} get events", pod.namespace),
                };
                Self::timed_out(message).detail(place).hint(format!("see what it waits for: {what}"))
            }
        }
    }
}

impl From<LockError> for Problem {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(holder) => {
                let free_in = text::took(holder.free_in());
                Self::new(Kind::Locked, format!("the lock is held by {holder}"))
                    .hint(format!("wait for it to end; if its holder died, the lock is free in {free_in}"))
            }
            LockError::Epoch(error) => {
                let problem = Self::refused(error.to_string());
                match error {
                    ImplausibleEpoch::Agent { machine, others, .. } => problem.hint(format!(
                        "if no other usher works there: on {machine}, stop usher-agent, write \"highest\": {others} into \
                         /var/lib/usher-agent/epoch.json, and start it again. Then find out who sent it: journalctl -u usher-agent"
                    )),
                    ImplausibleEpoch::UsedUp => problem.hint(
                        "with no usher at work: stop all agents, remove /var/lib/usher-agent/epoch.json and the old operations beside it \
                         on each machine, kubectl -n kube-system delete lease usher, and start the agents again",
                    ),
                }
            }
            LockError::Cluster(error) => error.into(),
        }
    }
}

impl From<CertificateError> for Problem {
    fn from(error: CertificateError) -> Self {
        let problem = Self::usage(chain(&error));
        match error {
            CertificateError::Exists { .. } => Self { kind: Kind::Refused, ..problem }
                .hint("to keep its key: usher certificates renew FILE; to replace both: --force"),
            CertificateError::File { doing: "read", path, .. }
                if path.ends_with("ca.pem") || path.ends_with("ca-key.pem") =>
            {
                problem.hint("make an authority first: usher certificates init; or say where it is: --folder FOLDER")
            }
            CertificateError::Foreign { .. } => {
                problem.hint("have its own authority renew it, or name that one: --folder FOLDER")
            }
            CertificateError::Expired { .. } => problem.hint("make another: usher certificates init --folder FOLDER"),
            CertificateError::Crypto { .. } => Self { kind: Kind::Failed, ..problem },
            CertificateError::Name { .. } | CertificateError::Unusable { .. } | CertificateError::File { .. } => {
                problem
            }
        }
    }
}
