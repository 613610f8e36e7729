//! What was asked of the server.

use std::fmt;

use http::Method;

use super::{call::Call, rights};

/// One request, as a test wants to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCall {
    /// `PATCH`.
    pub method: String,
    /// `/api/v1/nodes/w1`.
    pub path: String,
    /// The query as it was sent, empty if there was none.
    pub query: String,
    /// The body as text.
    pub body: String,
    /// The right that it takes, as `patch nodes` or `create pods/eviction`.
    pub right: String,
    /// Status code of the answer; `None` while there is none, or if the connection broke instead.
    pub status: Option<u16>,
}

impl fmt::Display for LoggedCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.method, self.path)?;
        if self.is_dry_run() { out.write_str("?dryRun=All") } else { Ok(()) }
    }
}

impl LoggedCall {
    fn is_dry_run(&self) -> bool {
        self.query.contains("dryRun=All") || self.body.contains("\"dryRun\":[\"All\"]")
    }

    /// Whether it would change something.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !self.path.ends_with("/selfsubjectaccessreviews")
    }
}

#[derive(Default)]
pub(super) struct RequestLog {
    calls: Vec<LoggedCall>,
    /// How many were forgotten, so that places given out before stay right.
    forgotten: usize,
}

impl RequestLog {
    pub(super) fn add(&mut self, call: &Call) -> usize {
        self.calls.push(LoggedCall {
            method: Method::as_str(&call.method).to_owned(),
            path: call.path.clone(),
            query: call.raw_query.clone(),
            body: String::from_utf8_lossy(&call.body).into_owned(),
            right: rights::of(call),
            status: None,
        });
        self.forgotten + self.calls.len() - 1
    }

    pub(super) fn answered(&mut self, place: usize, status: u16) {
        let call = place.checked_sub(self.forgotten).and_then(|index| self.calls.get_mut(index));
        if let Some(call) = call {
            call.status = Some(status);
        }
    }

    pub(super) fn calls(&self) -> &[LoggedCall] {
        &self.calls
    }

    pub(super) fn writes(&self) -> Vec<String> {
        self.calls.iter().filter(|call| call.is_write()).map(LoggedCall::to_string).collect()
    }

    pub(super) fn clear(&mut self) {
        self.forgotten += self.calls.len();
        self.calls.clear();
    }
}
