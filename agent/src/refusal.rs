//! Refusals: why a call was not carried out, for people and programs.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use usher_proto::reason;

/// A refused call. It changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// One of [`usher_proto::reason`].
    pub(crate) reason: &'static str,
    /// What forbids the call, and what would allow it.
    pub(crate) message: String,
    /// Facts for programs; [`usher_proto::reason`] names their keys.
    pub(crate) metadata: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal without metadata. The gRPC code follows from the reason.
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { code: code(reason), reason, message: message.into(), metadata: Vec::new() }
    }

    /// Adds a fact for programs.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// A field that must be set is empty or malformed.
    pub(crate) fn bad_request(field: &'static str, message: &str) -> Self {
        Self::new(reason::BAD_REQUEST, format!("{field} {message}")).with("field", field)
    }
}

/// The gRPC code that goes with a reason; [`usher_proto::reason`] documents the pairs.
fn code(reason: &str) -> Code {
    match reason {
        reason::NOT_LISTED
        | reason::ROLE_TOO_LOW
        | reason::UNIT_NOT_ALLOWED
        | reason::CALLER_LIMITED
        | reason::LOCAL_ONLY
        | reason::NOT_LOCAL => Code::PermissionDenied,
        reason::CERTIFICATE_EXPIRED | reason::CERTIFICATE_REVOKED => Code::Unauthenticated,
        reason::BAD_REQUEST => Code::InvalidArgument,
        reason::STALE_EPOCH => Code::Aborted,
        reason::OPERATION_ID_REUSED => Code::AlreadyExists,
        reason::REBOOT_BUDGET | reason::TOO_MANY_LISTINGS | reason::TOO_MANY_HOLDS => Code::ResourceExhausted,
        reason::NO_SUCH_OPERATION | reason::NO_SUCH_UNIT | reason::NO_SUCH_HOLD => Code::NotFound,
        reason::NO_SUCH_METHOD => Code::Unimplemented,
        reason::SYSTEMD_UNAVAILABLE | reason::STATE_UNAVAILABLE | reason::ADMITTING => Code::Unavailable,
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
