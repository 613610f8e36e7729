//! What can go wrong between usher and the Kubernetes API, in words.

use std::time::Duration;

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
        /// The server's words.
        message: String,
        /// After how many seconds the server wants to be asked again; 0 if it did not say.
        retry_after_seconds: u32,
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
                retry_after_seconds: status.details.as_ref().map_or(0, |details| details.retry_after_seconds),
                message: status.message,
                reason: status.reason,
            },
            source => {
                Self::Unreachable { doing: doing.to_owned(), server: server.to_owned(), source: Box::new(source) }
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
        matches!(self, Self::Answered { code: 401 | 403, .. })
    }

    /// No server answered at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether it is likely to pass by itself: nobody answers, or a server is starting, stopping or busy.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Answered { code: 429 | 500 | 502 | 503 | 504, .. })
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after_seconds: seconds @ 1.., .. } => Some(Duration::from_secs((*seconds).into())),
            _ => None,
        }
    }
}
