//! Refusals: why a call was not carried out, for people and programs.

use std::{collections::HashMap, time::Duration};

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
        reason::SYSTEMD_UNAVAILABLE | reason::STATE_UNAVAILABLE | reason::ADMITTING | reason::ETCD_UNAVAILABLE => {
            Code::Unavailable
        }
        _ => Code::FailedPrecondition,
    }
}

/// After which time the same call may well be answered otherwise, although its caller does nothing; None if it will not be.
fn retry_after(reason: &str) -> Option<Duration> {
    match reason {
        reason::ADMITTING | reason::TOO_MANY_LISTINGS => Some(Duration::from_secs(1)),
        // The agent opens the bus again after 2 s, and looks at its disk every 30 s.
        reason::SYSTEMD_UNAVAILABLE => Some(Duration::from_secs(5)),
        reason::STATE_UNAVAILABLE => Some(Duration::from_secs(30)),
        _ => None,
    }
}

impl From<Refusal> for Status {
    /// usher goes by the `ErrorInfo`. The other details say the same in the terms that clients of gRPC know in general.
    fn from(refusal: Refusal) -> Self {
        let field = refusal.metadata.iter().find(|(key, _)| *key == "field").map(|(_, field)| field.clone());
        let metadata: HashMap<String, String> =
            refusal.metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut details = ErrorDetails::with_error_info(refusal.reason, reason::DOMAIN, metadata);
        match (refusal.code, field) {
            (Code::InvalidArgument, Some(field)) => _ = details.add_bad_request_violation(field, &refusal.message),
            (Code::FailedPrecondition, _) => {
                details.add_precondition_failure_violation(refusal.reason, reason::DOMAIN, &refusal.message);
            }
            _ => {}
        }
        if let Some(delay) = retry_after(refusal.reason) {
            details.set_retry_info(Some(delay));
        }
        Self::with_error_details(refusal.code, refusal.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_details_that_clients_know_in_general() {
        let busy = Status::from(Refusal::new(reason::BUSY, "operation a runs").with("operation_id", "a"));
        let violation = busy.get_details_precondition_failure().unwrap().violations.remove(0);
        assert_eq!((violation.r#type.as_str(), violation.description.as_str()), (reason::BUSY, "operation a runs"));
        assert!(busy.get_details_retry_info().is_none(), "nobody knows when it ends");

        let malformed = Status::from(Refusal::bad_request("order.reason", "must not be empty"));
        let violation = malformed.get_details_bad_request().unwrap().field_violations.remove(0);
        assert_eq!(violation.field, "order.reason");
        assert!(malformed.get_details_precondition_failure().is_none());

        let passing = Status::from(Refusal::new(reason::ADMITTING, "still being checked"));
        assert_eq!(passing.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
        for status in [busy, malformed, passing] {
            assert_eq!(status.get_details_error_info().unwrap().domain, reason::DOMAIN);
        }
    }
}
