//! What a caller says of a call for records of its own. The agent writes it into its audit records and decides nothing by it.

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use usher_common::trace::{TRACEPARENT, TraceParent};

/// The id under which the caller's own logs have the request. The answer repeats it.
const REQUEST_ID: &str = "x-request-id";

/// An id may be this many characters long. A longer one, or one that is not printable, is ignored.
const LONGEST_ID: usize = 128;

/// The tags of one call. Empty where the caller gives none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    pub(crate) request_id: String,
    /// The trace's id: 32 hexadecimal digits.
    pub(crate) trace: String,
}

impl Tags {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_id = |id: &&str| id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
        Self {
            request_id: text(REQUEST_ID).filter(is_id).unwrap_or_default().to_owned(),
            trace: text(TRACEPARENT).and_then(TraceParent::read).map(|parent| parent.trace_id()).unwrap_or_default(),
        }
    }

    /// Repeats the request's id in its answer, and among the details of an error: clients show these and drop headers.
    pub(super) fn answer(&self, headers: &mut HeaderMap) {
        let Ok(id) = HeaderValue::from_str(&self.request_id) else { return };
        if self.request_id.is_empty() {
            return;
        }
        headers.insert(REQUEST_ID, id);
        // An answer that is no error has its status behind its body.
        let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok) else { return };
        let mut details = status.get_error_details();
        details.set_request_info(self.request_id.as_str(), "");
        let named = Status::with_error_details(status.code(), status.message(), details);
        let mut of_status = HeaderMap::new();
        // A status whose message no header can carry stays as it was.
        if named.add_header(&mut of_status).is_ok() {
            for (name, value) in &of_status {
                headers.insert(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;
    use usher_proto::reason;

    use super::*;
    use crate::refusal::Refusal;

    #[test]
    fn an_error_names_its_request_beside_the_details_that_it_had() {
        let refusal = Refusal::new(reason::BUSY, "operation a runs").with("operation_id", "a");
        let headers = |status: Status| status.into_http::<()>().into_parts().0.headers;
        let tags = Tags { request_id: "4f7k2.3".to_owned(), ..Tags::default() };
        for status in [Status::from(refusal), Status::deadline_exceeded("no answer within 40 s")] {
            let (code, message) = (status.code(), status.message().to_owned());
            let had = status.get_error_details();
            let mut headers = headers(status);
            tags.answer(&mut headers);
            let named = Status::from_header_map(&headers).unwrap();
            assert_eq!((named.code(), named.message()), (code, message.as_str()));
            let details = named.get_error_details();
            assert_eq!(details.request_info().map(|info| info.request_id.as_str()), Some("4f7k2.3"));
            let others = |details: &ErrorDetails| {
                format!("{:?} {:?} {:?}", details.error_info(), details.precondition_failure(), details.retry_info())
            };
            assert_eq!(others(&details), others(&had));
            assert_eq!(headers.get_all("grpc-status").iter().count(), 1);
        }
        let mut untagged = headers(Status::not_found("x"));
        let before = untagged.clone();
        Tags::default().answer(&mut untagged);
        assert_eq!(untagged, before, "nobody named the request");
    }

    #[test]
    fn an_id_that_no_log_wants_is_ignored() {
        let name = || http::HeaderName::from_static(REQUEST_ID);
        let read = |id: &str| Tags::read(&HeaderMap::from_iter([(name(), id.parse().unwrap())])).request_id;
        assert_eq!(read("4f7k2.3"), "4f7k2.3");
        assert_eq!(read("with a space"), "");
        assert_eq!(read(&"x".repeat(LONGEST_ID + 1)), "");
    }
}
