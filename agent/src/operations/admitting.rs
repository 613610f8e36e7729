//! Calls that are being checked: each id once, and known from its first moment on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    admit::Request,
    record::{Change, Operation},
};
use crate::refusal::Refusal;

/// What a call is answered with.
pub(super) type Verdict = Result<Operation, Refusal>;

/// Waits for the verdict on a call.
pub(super) type Awaited = watch::Receiver<Option<Verdict>>;

#[derive(Debug)]
struct Call {
    change: Change,
    verdict: Awaited,
}

/// The calls that are being checked, by the id of their operation. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Admitting(Arc<Mutex<BTreeMap<String, Call>>>);

/// The place of a call among them, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admitting: Admitting,
    id: String,
    verdict: watch::Sender<Option<Verdict>>,
}

/// A call that has come in.
#[derive(Debug)]
pub(super) enum Entered {
    /// It is the first with its id, and is to be checked.
    First(Place, Awaited),
    /// The same call is being checked already.
    Joined(Awaited),
    /// Another change is being checked under its id.
    Other(Change),
}

impl Admitting {
    pub(super) fn enter(&self, request: &Request) -> Entered {
        let mut calls = self.calls();
        if let Some(first) = calls.get(&request.id) {
            return match first.change == request.change {
                true => Entered::Joined(first.verdict.clone()),
                false => Entered::Other(first.change.clone()),
            };
        }
        let (verdict, awaited) = watch::channel(None);
        calls.insert(request.id.clone(), Call { change: request.change.clone(), verdict: awaited.clone() });
        Entered::First(Place { admitting: self.clone(), id: request.id.clone(), verdict }, awaited)
    }

    /// The verdict on the call with this id, if it is being checked.
    pub(super) fn verdict(&self, id: &str) -> Option<Awaited> {
        self.calls().get(id).map(|call| call.verdict.clone())
    }

    /// Whether no call is being checked.
    pub(super) fn is_empty(&self) -> bool {
        self.calls().is_empty()
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<String, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Answers the call and all that joined it. An operation that has begun must be known by now.
    pub(super) fn tell(self, verdict: Verdict) {
        self.verdict.send_replace(Some(verdict));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admitting.calls().remove(&self.id);
    }
}
