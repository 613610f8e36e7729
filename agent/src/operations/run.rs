//! A running operation: each step is recorded on disk first, then published to its followers.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{error, info, warn};
use usher_common::chain;

use super::{
    cancel::Cancel,
    moment::Moment,
    record::{Failure, FailureKind, Operation, State},
    store::{Store, StoreError},
};
use crate::machine::Machine;

/// How an operation started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// It was just accepted.
    Fresh,
    /// A previous agent started it, and this one found it on disk.
    Resumed,
}

pub(super) type Outcome = Result<(), Failure>;

/// The owner of a running operation.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) machine: Arc<Machine>,
    pub(super) store: Store,
    operation: watch::Sender<Operation>,
    cancel: Cancel,
}

impl Run {
    pub(super) fn new(
        machine: Arc<Machine>,
        store: Store,
        operation: watch::Sender<Operation>,
        cancel: Cancel,
    ) -> Self {
        Self { machine, store, operation, cancel }
    }

    pub(super) fn operation(&self) -> Operation {
        self.operation.borrow().clone()
    }

    pub(super) async fn end(&self, outcome: Outcome) {
        let recorded = self.try_record(|operation| match outcome {
            Ok(()) => operation.succeed(),
            Err(failure) => operation.fail(failure),
        });
        if let Err(error) = recorded.await {
            warn!(operation = self.operation().id, "its end could not be stored yet: {}", chain(&error));
            // The next operation takes its place in running.json, and it would never have been.
            self.store.keep(self.operation());
        }
        log_end(&self.operation());
    }

    /// Waits for something to which the operation itself can contribute nothing more. Here, and only here, it can be cancelled.
    pub(super) async fn waiting<T>(&self, wait: impl Future<Output = T>) -> Result<T, Failure> {
        self.cancel.waiting(wait).await.map_err(|why| failure(FailureKind::Cancelled, why))
    }

    /// Changes the operation on disk, then for its followers. If the disk fails, the operation continues: what it did to the
    /// node is done already, and the evidence tells the next agent as much as the record would.
    pub(super) async fn record(&self, change: impl FnOnce(&mut Operation)) {
        if let Err(error) = self.try_record(change).await {
            warn!(operation = self.operation().id, "a step could not be stored: {}", chain(&error));
        }
    }

    /// [`Run::record`] for a step that must be on disk before the next one.
    pub(super) async fn try_record(&self, change: impl FnOnce(&mut Operation)) -> Result<(), StoreError> {
        let mut operation = self.operation();
        let steps = operation.steps.len();
        change(&mut operation);
        let saved = self.store.save(&operation, &Moment::now(&self.machine)).await;
        let unit = operation.change.unit().unwrap_or_default();
        for step in operation.steps.iter().skip(steps).filter(|step| step.name != "failed") {
            info!(operation = operation.id, unit, step = step.name, "{}", step.message);
        }
        self.operation.send_replace(operation);
        saved
    }

    /// A failure that includes the last lines of the unit's journal.
    pub(super) async fn unit_failure(&self, kind: FailureKind, unit: &str, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), journal: self.machine.journal.last_lines(unit).await }
    }
}

/// A failure without a journal.
pub(super) fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), journal: Vec::new() }
}

fn log_end(operation: &Operation) {
    let (id, description) = (&operation.id, operation.change.description());
    let (unit, caller) = (operation.change.unit().unwrap_or_default(), operation.caller.join(", "));
    match &operation.state {
        State::Failed(failure) => {
            error!(operation = id, unit, caller, kind = ?failure.kind, "failed to {description}: {}", failure.message);
        }
        _ => info!(operation = id, unit, caller, "done: {description}"),
    }
}
