//! What can go wrong between usher and an agent, in words, and what to do next.

use std::{collections::BTreeMap, time::Duration};

use usher_proto::reason;

use crate::text::took;

/// An error of any type, kept for its chain of causes.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why an agent could not be asked, or would not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The site's configuration does not allow to reach it.
    #[error("{problem}")]
    Config {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        advice: Option<String>,
        /// What the system or a library said.
        source: Option<Cause>,
    },
    /// Nobody answers, or the connection was lost before the answer came.
    #[error("{node}: no answer from its agent at {address} for {}", took(*waited))]
    Unreachable {
        node: String,
        /// `HOST:PORT` of its agent.
        address: String,
        /// How long it was tried.
        waited: Duration,
        /// The last reason.
        source: Cause,
    },
    /// Somebody answers, but one side does not believe the other's certificate.
    #[error("{node}: {}", match by {
        Side::Usher => format!("what answers at {address} cannot prove that it is this machine's agent"),
        Side::Agent => format!("its agent at {address} does not trust our certificate"),
    })]
    NotTrusted {
        node: String,
        /// `HOST:PORT` of its agent.
        address: String,
        /// Who does not believe.
        by: Side,
        /// What would mend it, if the reason is a known one.
        advice: Option<String>,
        /// The reason in TLS's words.
        source: Cause,
    },
    /// The agent of another machine answers.
    #[error("{node}: what answers at {address} is the agent of {answers}")]
    AnotherMachine {
        node: String,
        /// `HOST:PORT` at which it was asked.
        address: String,
        /// How it calls itself.
        answers: String,
    },
    /// A change was not sent, since the operation may not change anything any more.
    #[error("{node}: the call was not sent: the cluster's lock was lost, and another operation may have begun")]
    NotSent { node: String },
    /// The agent refused the call, and did nothing.
    #[error("{node}: its agent refused: {message}")]
    Refused {
        node: String,
        /// One of [`usher_proto::reason`]'s, or the gRPC code's name if the agent gave none.
        reason: String,
        message: String,
        /// Details for programs, by the reason.
        metadata: BTreeMap<String, String>,
    },
    /// What was waited for did not happen in time.
    #[error("{node}: {what} after {}", took(*waited))]
    TimedOut {
        node: String,
        /// What is not so, as in "has not answered with a new boot id".
        what: String,
        /// The whole time.
        waited: Duration,
        /// Why the agent could not be asked, if it could not be asked last.
        source: Option<Cause>,
    },
    /// A change was sent and its answer never came, so whether the agent took it is unknown. Following the operation tells.
    #[error("{node}: its agent may or may not have taken operation {operation_id}: the answer was lost")]
    AnswerLost {
        node: String,
        /// The change's id.
        operation_id: String,
        /// Why it could not be settled.
        source: Cause,
    },
}

/// One of the two that prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We do not believe the agent.
    Usher,
    /// The agent does not believe us.
    Agent,
}

impl AgentError {
    /// Whether the agent refused because of the epoch: it knows a higher one, or does not believe this one.
    pub fn is_of_the_epoch(&self) -> bool {
        matches!(self.reason(), Some(reason::STALE_EPOCH | reason::EPOCH_JUMP))
    }

    /// The agent's machine-readable reason, if it refused.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Whether the agent refused without a look at the call: it is another machine's, or does not serve us now. It tells nothing about a
    /// call whose answer was lost.
    pub(super) fn tells_nothing_of_a_call(&self) -> bool {
        use reason::{
            CALLER_LIMITED, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED, NO_SUCH_METHOD, NOT_LISTED, ROLE_TOO_LOW,
            WRONG_NODE,
        };
        matches!(
            self.reason(),
            Some(
                CALLER_LIMITED
                    | CERTIFICATE_EXPIRED
                    | CERTIFICATE_REVOKED
                    | NO_SUCH_METHOD
                    | NOT_LISTED
                    | ROLE_TOO_LOW
                    | WRONG_NODE
            )
        )
    }

    /// Whether the agent is merely not there, as during a reboot. Nothing is known then about what it would have said.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the agent is there but cannot serve yet, as in the first moments of a boot, or while it still checks the call that is
    /// asked about.
    pub(super) fn is_passing_refusal(&self) -> bool {
        matches!(self.reason(), Some(reason::SYSTEMD_UNAVAILABLE | reason::STATE_UNAVAILABLE | reason::ADMITTING))
    }

    /// What to do next, as one line for the operator; the names of machines and files are filled in.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config { advice, .. } | Self::NotTrusted { advice, .. } => advice.clone(),
            Self::Unreachable { node, .. } => Some(format!("Is it running?  ssh {node} systemctl status usher-agent")),
            Self::TimedOut { node, .. } | Self::AnswerLost { node, .. } => {
                Some(format!("See what it did: usher agent status {node}"))
            }
            Self::AnotherMachine { node, .. } => {
                Some(format!("See where {node} is called: agents.addresses in the cluster file."))
            }
            Self::NotSent { .. } => Some("See who holds it: usher status".to_owned()),
            Self::Refused { node, reason, metadata, .. } => refusal_hint(node, reason, metadata),
        }
    }
}

fn refusal_hint(node: &str, reason: &str, metadata: &BTreeMap<String, String>) -> Option<String> {
    let detail = |key: &str| metadata.get(key).map(String::as_str).unwrap_or_default();
    let hint = match reason {
        reason::NOT_LISTED => format!("Add it under [allow] in /etc/usher/agent.toml on {node}."),
        reason::ROLE_TOO_LOW => format!("Add it to operator under [allow] in /etc/usher/agent.toml on {node}."),
        reason::CALLER_LIMITED => format!(
            "Its entry under [allow] in /etc/usher/agent.toml on {node} is narrowed by {}. Call as it permits, or widen it.",
            detail("limit")
        ),
        reason::CERTIFICATE_EXPIRED => "Renew the certificate (agents.certificate in the cluster file).".into(),
        reason::CERTIFICATE_REVOKED => {
            format!(
                "Use another certificate, or see [deny], tls.client_ca and tls.client_crl in /etc/usher/agent.toml on {node}."
            )
        }
        reason::TOO_MANY_LISTINGS => "Ask again in a moment.".into(),
        reason::UNIT_NOT_ALLOWED => format!("Name the unit under [units] in /etc/usher/agent.toml on {node}."),
        reason::STALE_EPOCH => "Another usher has taken the lock since. See what it does: usher status".into(),
        reason::BUSY => format!("Wait until operation {} has ended: usher agent status {node}", detail("operation_id")),
        reason::INVOCATION_MISMATCH => {
            format!("Somebody else has restarted it meanwhile. Look, and start again: usher agent units {node}")
        }
        reason::BOOT_MISMATCH => {
            format!("It has rebooted meanwhile. Look, and start again: usher agent status {node}")
        }
        reason::HELD => format!("When the hold is over, end it there; see whose it is: usher agent status {node}"),
        reason::INHIBITED => format!("See who: usher agent status {node}"),
        reason::SHUTTING_DOWN => format!("When it is back, see what it says: usher agent status {node}"),
        reason::REBOOT_BUDGET => {
            format!("If that many are wanted, raise budget_per_day under [reboot] in /etc/usher/agent.toml on {node}.")
        }
        reason::WRONG_NODE => format!(
            "What answers as {node} calls itself {}. See where {node} is called: agents.addresses in the cluster file.",
            detail("node")
        ),
        reason::EPOCH_JUMP => format!(
            "See the lock: kubectl -n kube-system get lease usher -o yaml; and what its agent has seen: usher agent status {node}"
        ),
        reason::ADMITTING => format!("See what becomes of it: usher agent status {node}"),
        reason::UNIT_NOT_RUNNING => format!("If it is to run: usher agent restart {node} UNIT"),
        reason::UNIT_BUSY => format!("See who stops or starts it: ssh {node} systemctl list-jobs"),
        reason::UNIT_NOT_LOADABLE => format!("See why: ssh {node} systemctl status UNIT"),
        reason::NO_SUCH_UNIT => format!("Is it installed?  ssh {node} systemctl status UNIT"),
        reason::SYSTEMD_UNAVAILABLE | reason::STATE_UNAVAILABLE => {
            format!("See why: ssh {node} journalctl -u usher-agent")
        }
        "UNIMPLEMENTED" => format!("The agent on {node} is older than this usher: upgrade it."),
        _ => return None,
    };
    Some(hint)
}
