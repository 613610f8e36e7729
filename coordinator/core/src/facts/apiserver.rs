//! A single apiserver.

use serde::Serialize;

/// What one apiserver says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Readiness {
    /// `/readyz` answered 200. The check of etcd is part of it.
    Ready,
    /// It answered, with something else.
    NotReady {
        /// The server's words, the failed checks among them.
        message: String,
    },
    /// It did not answer.
    Unreachable { message: String },
    /// It cannot be asked from here, and the probe of its machine's own agent finds it healthy.
    ByItsAgent {
        /// Why it cannot be asked from here.
        message: String,
    },
}

impl Readiness {
    /// Whether `/readyz` answered 200, to usher or to the agent beside it.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready | Self::ByItsAgent { .. })
    }

    /// Whether its check of etcd is among those that fail. They are `etcd` and `etcd-readiness`.
    pub fn misses_etcd(&self) -> bool {
        let checks = |message: &str| message.split([' ', ',']).any(|word| word == "etcd" || word == "etcd-readiness");
        matches!(self, Self::NotReady { message } if checks(message))
    }
}

impl std::fmt::Display for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::NotReady { message } => write!(f, "not ready: {message}"),
            Self::Unreachable { message } => write!(f, "no answer: {message}"),
            Self::ByItsAgent { message } => {
                write!(f, "not reachable from here ({message}); its agent says that it is healthy")
            }
        }
    }
}
