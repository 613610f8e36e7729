//! Refusals: why a call was not carried out, for people and for programs.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use usher_proto::reason;

/// A call that was refused: nothing was changed.
///
/// The message says what forbids the call and what would allow it; the reason is one of [`usher_proto::reason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of caller can mend it.
    pub code: Code,
    /// What exactly forbids it.
    pub reason: &'static str,
    /// The same for people.
    pub message: String,
    /// Facts for programs, named beside each reason.
    pub metadata: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal without facts. The code follows from the reason.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { code: code(reason), reason, message: message.into(), metadata: Vec::new() }
    }

    /// The same with a fact.
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// A field that must be set is empty or malformed.
    pub fn bad_request(field: &'static str, message: &str) -> Self {
        Self::new(reason::BAD_REQUEST, format!("{field} {message}")).with("field", field)
    }
}

/// The gRPC code that goes with a reason; [`usher_proto::reason`] documents the pairs.
fn code(reason: &str) -> Code {
    match reason {
        reason::NOT_LISTED | reason::ROLE_TOO_LOW | reason::UNIT_NOT_ALLOWED => Code::PermissionDenied,
        reason::BAD_REQUEST => Code::InvalidArgument,
        reason::STALE_EPOCH => Code::Aborted,
        reason::OPERATION_ID_REUSED => Code::AlreadyExists,
        reason::REBOOT_BUDGET => Code::ResourceExhausted,
        reason::NO_SUCH_OPERATION | reason::NO_SUCH_UNIT => Code::NotFound,
        reason::NO_SUCH_METHOD => Code::Unimplemented,
        reason::SYSTEMD_UNAVAILABLE | reason::STATE_UNAVAILABLE => Code::Unavailable,
        _ => Code::FailedPrecondition,
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let metadata: HashMap<String, String> =
            refusal.metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let details = ErrorDetails::with_error_info(refusal.reason, reason::DOMAIN, metadata);
        Self::with_error_details(refusal.code, refusal.message, details)
    }
}
