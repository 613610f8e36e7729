//! Errors of requests to the Kubernetes API.

use std::time::Duration;

use super::credentials::CredentialsError;
use crate::text;

/// A request to the API failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A server answered with an error.
    #[error("cannot {doing}: {message}")]
    Answered {
        /// What usher was doing, as "cordon w1".
        doing: String,
        /// The HTTP status.
        code: u16,
        /// The machine-readable reason, such as `NotFound`; empty if the answer was no Status.
        reason: String,
        message: String,
    },
    /// No server answered.
    #[error("cannot {doing}: no answer from {server}")]
    Unreachable {
        /// As in [`Self::Answered`].
        doing: String,
        /// The API's URL.
        server: String,
        /// The last error of the connection.
        source: Box<kube::Error>,
    },
    /// The server does not take the caller's credentials, or there are none.
    #[error("cannot {doing}: {credentials}")]
    Credentials {
        /// As in [`Self::Answered`].
        doing: String,
        /// What is wrong with them.
        credentials: CredentialsError,
    },
    /// The answer came too late, or did not settle the question.
    #[error("cannot {doing} within {}: {problem}", text::took(*.within))]
    TimedOut {
        /// As in [`Self::Answered`].
        doing: String,
        /// The time that it was given.
        within: Duration,
        /// What was missing, or the last error.
        problem: String,
    },
    /// An object is not as the API promises, for example a Node without a name.
    #[error("cannot {doing}: {problem}")]
    Malformed {
        /// As in [`Self::Answered`].
        doing: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ClusterError {
    pub(super) fn new(doing: &str, server: &str, source: kube::Error) -> Self {
        match source {
            kube::Error::Api(status) => Self::Answered {
                doing: doing.to_owned(),
                code: status.code,
                message: status.message,
                reason: status.reason,
            },
            kube::Error::Service(source) => match source.downcast() {
                Ok(credentials) => Self::Credentials { doing: doing.to_owned(), credentials: *credentials },
                Err(source) => Self::unreachable(doing, server, kube::Error::Service(source)),
            },
            source => Self::unreachable(doing, server, source),
        }
    }

    fn unreachable(doing: &str, server: &str, source: kube::Error) -> Self {
        Self::Unreachable { doing: doing.to_owned(), server: server.to_owned(), source: Box::new(source) }
    }

    /// The same error for somebody else who waited for the same thing: word for word if a server answered.
    pub(super) fn again(&self, waited: Duration) -> Self {
        match self {
            Self::Answered { doing, code, reason, message } => {
                Self::Answered { doing: doing.clone(), code: *code, reason: reason.clone(), message: message.clone() }
            }
            Self::Credentials { doing, credentials } => {
                Self::Credentials { doing: doing.clone(), credentials: credentials.clone() }
            }
            Self::Unreachable { doing, server, source } => {
                let problem = format!("no answer from {server}: {}", usher_common::chain(source.as_ref()));
                Self::TimedOut { doing: doing.clone(), within: waited, problem }
            }
            Self::TimedOut { doing, problem, .. } | Self::Malformed { doing, problem } => {
                Self::TimedOut { doing: doing.clone(), within: waited, problem: problem.clone() }
            }
        }
    }

    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Answered { code: 404, .. })
    }

    /// Somebody else changed the object first.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Answered { code: 409, .. })
    }

    /// The caller may not do this.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Answered { code: 403, .. })
    }

    /// The server does not know the caller, or the caller's credentials cannot be had.
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Credentials { .. } | Self::Answered { code: 401, .. })
    }

    /// No server answered, or not in time.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
    }
}
