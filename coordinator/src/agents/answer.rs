//! What an agent's answer means: done, refused, or lost on the way.

use std::{fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use usher_proto::reason;

/// A call that brought no result.
#[derive(Debug)]
pub(super) enum NoResult {
    /// No answer: the agent may or may not have got the call.
    Lost(Lost),
    /// The agent's own answer.
    Refused { reason: String, message: String, metadata: std::collections::BTreeMap<String, String> },
}

/// How an answer was lost.
#[derive(Debug)]
pub(super) enum Lost {
    /// With the connection.
    Connection(Status),
    /// It did not come in time.
    Late(Duration),
    /// The agent ended the stream while the operation still ran, as it does when it is stopped.
    StreamEnded,
    /// It came without what it must have.
    Empty,
}

impl From<Status> for NoResult {
    /// The agent's own errors carry an `ErrorInfo`, or at least come without a cause in this process. All else is made up
    /// by tonic when the connection fails: `Unavailable`, `Cancelled`, or `Unknown` around a transport error.
    fn from(status: Status) -> Self {
        if let Some(info) = status.get_details_error_info().filter(|info| info.domain == reason::DOMAIN) {
            return Self::Refused {
                reason: info.reason,
                message: status.message().to_owned(),
                metadata: info.metadata.into_iter().collect(),
            };
        }
        let made_here = std::error::Error::source(&status).is_some();
        if made_here || matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded) {
            return Self::Lost(Lost::Connection(status));
        }
        Self::Refused {
            reason: name(status.code()).to_owned(),
            message: status.message().to_owned(),
            metadata: Default::default(),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(status) if std::error::Error::source(status).is_some() => {
                f.write_str("the connection was lost")
            }
            Self::Connection(status) => write!(f, "the connection was lost: {}", status.message()),
            Self::Late(limit) => {
                write!(f, "it took the call and did not answer it within {}", crate::text::took(*limit))
            }
            Self::StreamEnded => f.write_str("the agent hung up"),
            Self::Empty => f.write_str("the answer was empty"),
        }
    }
}

impl std::error::Error for Lost {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The Status' own words are those of its source, with decoration.
            Self::Connection(status) => status.source(),
            _ => None,
        }
    }
}

/// gRPC's own name of a code.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn reason_of(status: Status) -> Option<String> {
        match NoResult::from(status) {
            NoResult::Refused { reason, .. } => Some(reason),
            NoResult::Lost(_) => None,
        }
    }

    #[test]
    fn an_agents_own_word_is_told_from_a_lost_connection() {
        let own = |code, reason| {
            let details = ErrorDetails::with_error_info(reason, reason::DOMAIN, HashMap::new());
            Status::with_error_details(code, "words", details)
        };
        assert_eq!(
            reason_of(own(Code::Unavailable, reason::SYSTEMD_UNAVAILABLE)).unwrap(),
            reason::SYSTEMD_UNAVAILABLE
        );
        assert_eq!(reason_of(own(Code::FailedPrecondition, reason::BUSY)).unwrap(), reason::BUSY);
        assert_eq!(reason_of(Status::unimplemented("x")).unwrap(), "UNIMPLEMENTED");
        assert_eq!(reason_of(Status::internal("x")).unwrap(), "INTERNAL");

        assert_eq!(reason_of(Status::unavailable("x")), None);
        assert_eq!(reason_of(Status::cancelled("Timeout expired")), None);
        assert_eq!(reason_of(Status::from_error("transport error".into())), None);
    }

    #[test]
    fn somebody_elses_error_details_are_not_taken_for_the_agents() {
        let details = ErrorDetails::with_error_info("BUSY", "proxy.example", HashMap::new());
        assert_eq!(reason_of(Status::with_error_details(Code::Unavailable, "x", details)), None);
    }
}
