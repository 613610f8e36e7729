//! Things that go wrong on purpose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Method;

use super::{
    answer::{Failure, Reply, text},
    call::Call,
};

/// What goes wrong, with which requests, and how often (once, unless said otherwise).
#[derive(Debug, Clone)]
pub struct Fault {
    method: Option<Method>,
    part: String,
    left: usize,
    action: Action,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    Fail(Failure),
    Text { code: u16, words: &'static str, retry_after: u32 },
    Refuse,
    LoseAnswer,
    Hang,
    Delay(Duration),
    AnswerLate(Duration),
}

/// Tells how often a fault has struck.
#[derive(Debug, Clone)]
pub struct FaultHandle(Arc<AtomicUsize>);

impl FaultHandle {
    /// How many requests it has hit so far.
    pub fn hits(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Fault {
    /// Hits requests with this method whose path and query contain `part`; 500 unless said otherwise.
    pub fn on(method: Method, part: &str) -> Self {
        let action = Action::Fail(Failure::new(500, "InternalError", "an internal error was ordered by the test"));
        Self { method: Some(method), part: part.to_owned(), left: 1, action }
    }

    /// Hits requests with any method whose path and query contain `part`.
    pub fn on_any(part: &str) -> Self {
        Self { method: None, ..Self::on(Method::GET, part) }
    }

    /// Strikes this many times.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { left: times, ..self }
    }

    /// Strikes each time.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// Answers with this refusal.
    #[must_use]
    pub fn fail(self, failure: Failure) -> Self {
        Self { action: Action::Fail(failure), ..self }
    }

    /// Answers with this code as a `metav1.Status` that says no more than that.
    #[must_use]
    pub fn status(self, code: u16) -> Self {
        let reason = match code {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            410 => "Expired",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "InternalError",
        };
        self.fail(Failure::new(code, reason, format!("status {code} was ordered by the test")))
    }

    /// Answers like API Priority and Fairness: 429 in plain text with Retry-After.
    #[must_use]
    pub fn too_many_requests(self, retry_after: u32) -> Self {
        let words = "Too many requests, please try again later.\n";
        Self { action: Action::Text { code: 429, words, retry_after }, ..self }
    }

    /// Answers as in a namespace that is being deleted: 403 with the cause NamespaceTerminating.
    #[must_use]
    pub fn namespace_terminating(self, namespace: &str) -> Self {
        self.fail(super::verbs::namespace_terminating("pods", "any", namespace))
    }

    /// Refuses the connection; nothing is done.
    #[must_use]
    pub fn refuse(self) -> Self {
        Self { action: Action::Refuse, ..self }
    }

    /// Does what was asked, and breaks the connection instead of answering.
    #[must_use]
    pub fn lose_answer(self) -> Self {
        Self { action: Action::LoseAnswer, ..self }
    }

    /// Never answers, and does nothing.
    #[must_use]
    pub fn hang(self) -> Self {
        Self { action: Action::Hang, ..self }
    }

    /// Does it later.
    #[must_use]
    pub fn delay(self, duration: Duration) -> Self {
        Self { action: Action::Delay(duration), ..self }
    }

    /// Does it at once, and answers later.
    #[must_use]
    pub fn answer_late(self, duration: Duration) -> Self {
        Self { action: Action::AnswerLate(duration), ..self }
    }

    fn hits(&self, call: &Call) -> bool {
        self.left > 0
            && self.method.as_ref().is_none_or(|method| *method == call.method)
            && format!("{}?{}", call.path, call.raw_query).contains(&self.part)
    }
}

#[derive(Default)]
pub(super) struct Faults {
    faults: Vec<(Fault, Arc<AtomicUsize>)>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) -> FaultHandle {
        let hits = Arc::new(AtomicUsize::new(0));
        self.faults.push((fault, Arc::clone(&hits)));
        FaultHandle(hits)
    }

    /// What is to happen to this request: the first fault that matches, oldest first.
    pub(super) fn strike(&mut self, call: &Call) -> Option<Action> {
        let (fault, hits) = self.faults.iter_mut().find(|(fault, _)| fault.hits(call))?;
        fault.left -= 1;
        hits.fetch_add(1, Ordering::Relaxed);
        let action = fault.action.clone();
        self.faults.retain(|(fault, _)| fault.left > 0);
        Some(action)
    }
}

/// The answer of an ordered refusal.
pub(super) fn plain(code: u16, words: &str, retry_after: u32) -> Reply {
    let mut reply = text(code, words);
    reply.headers_mut().insert(http::header::RETRY_AFTER, retry_after.into());
    reply.headers_mut().insert("x-kubernetes-pf-flowschema-uid", http::HeaderValue::from_static("ordered-by-the-test"));
    reply
}
