//! One operation on its way: what has happened is recorded first and told to followers then.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{error, info, warn};
use usher_common::chain;

use super::{
    record::{Failure, FailureKind, Operation, State},
    store::{SharedStore, StoreError},
};
use crate::machine::Machine;

/// How an operation comes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// It was accepted just now.
    Fresh,
    /// It was found on disk: an agent before this one had begun it.
    Resumed,
}

/// How an operation ended.
pub(super) type Outcome = Result<(), Failure>;

/// The one owner of a running operation.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) machine: Arc<Machine>,
    store: SharedStore,
    operation: watch::Sender<Operation>,
}

impl Run {
    pub(super) fn new(machine: Arc<Machine>, store: SharedStore, operation: watch::Sender<Operation>) -> Self {
        Self { machine, store, operation }
    }

    /// The operation as it is now.
    pub(super) fn operation(&self) -> Operation {
        self.operation.borrow().clone()
    }

    /// Records the operation's end.
    pub(super) async fn end(&self, outcome: Outcome) {
        self.note(|operation| match outcome {
            Ok(()) => operation.succeed(),
            Err(failure) => operation.fail(failure),
        })
        .await;
        log_end(&self.operation());
    }

    /// Changes the operation: on disk, then for its followers. If the disk fails, the operation goes on: what it did to the
    /// node is done already, and evidence tells the next agent as much as the record would.
    pub(super) async fn note(&self, change: impl FnOnce(&mut Operation)) {
        if let Err(error) = self.try_note(change).await {
            warn!(operation = self.operation().id, "a step could not be stored: {}", chain(&error));
        }
    }

    /// The same, for a step that must be on disk before what comes next.
    pub(super) async fn try_note(&self, change: impl FnOnce(&mut Operation)) -> Result<(), StoreError> {
        let mut operation = self.operation();
        let steps = operation.steps.len();
        change(&mut operation);
        let recorded = operation.clone();
        let saved = self.store.run(move |store| store.save(&recorded)).await;
        let unit = operation.change.unit().unwrap_or_default();
        for step in operation.steps.iter().skip(steps).filter(|step| step.name != "failed") {
            info!(operation = operation.id, unit, step = step.name, "{}", step.message);
        }
        self.operation.send_replace(operation);
        saved.unwrap_or(Err(StoreError::Stopping))
    }

    /// A failure with the last lines of the unit's journal.
    pub(super) async fn unit_failure(&self, kind: FailureKind, unit: &str, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), journal: self.machine.journal.last_lines(unit).await }
    }
}

/// A failure that no unit's journal says anything about.
pub(super) fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), journal: Vec::new() }
}

fn log_end(operation: &Operation) {
    let (id, words) = (&operation.id, operation.change.words());
    let (unit, caller) = (operation.change.unit().unwrap_or_default(), operation.caller.join(", "));
    match &operation.state {
        State::Failed(failure) => {
            error!(operation = id, unit, caller, kind = ?failure.kind, "failed to {words}: {}", failure.message);
        }
        _ => info!(operation = id, unit, caller, "done: {words}"),
    }
}
