//! The node's operations: admitted one at a time, recorded before they start, followed while they run, and found again by
//! their ids.

mod admit;
mod blockers;
mod reboot;
pub(crate) mod record;
mod run;
pub(crate) mod store;
mod unit;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use usher_common::{chain, clock};
use usher_proto::reason;

pub(crate) use admit::Request;
pub(crate) use blockers::{Blocker, BlockerKind, blockers};

use record::{Change, FailureKind, Operation, Progress, State};
use run::{Begin, Run};
use store::{REBOOT_BUDGET_PERIOD, SharedStore, Store, StoreError};

use crate::{machine::Machine, refusal::Refusal};

/// How often to prune old operations, besides after each new one.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The latest operation as it is now, running or ended. `None` until there is one.
pub(crate) type Latest = Option<watch::Receiver<Operation>>;

/// All operations of the node. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    machine: Arc<Machine>,
    store: SharedStore,
    /// Held from the first check of a request until its operation has started.
    admission: tokio::sync::Mutex<()>,
    latest: watch::Sender<Latest>,
    stop: CancellationToken,
}

impl Operations {
    /// Opens the state directory and resumes the operation that was running. Once `stop` is cancelled, nothing more is done or
    /// recorded; the next agent resumes what runs.
    pub(crate) fn open(machine: Arc<Machine>, stop: CancellationToken) -> Result<Self, StoreError> {
        let (store, left) = Store::open(machine.disk.clone(), &machine.config().state_directory)?;
        for warning in store.warnings() {
            warn!("{warning}");
        }
        let store = SharedStore::new(store);
        let (admission, latest) = (tokio::sync::Mutex::new(()), watch::Sender::new(None));
        let operations = Self { inner: Arc::new(Inner { machine, store, admission, latest, stop }) };
        if let Some(left) = left {
            info!(operation = left.id, "found an operation that was running: {}", left.change.description());
            operations.begin(left, Begin::Resumed);
        }
        tokio::spawn(operations.clone().prune_for_ever());
        Ok(operations)
    }

    /// Checks a request, records it, starts it and returns its state. A refused request has changed nothing.
    ///
    /// This completes even if the caller disconnects; the operation is then found by its id.
    pub(crate) async fn submit(&self, request: Request) -> Result<Operation, Refusal> {
        let operations = self.clone();
        let admitted = tokio::spawn(async move {
            let _one_at_a_time = operations.inner.admission.lock().await;
            operations.admit(request).await
        });
        admitted.await.unwrap_or_else(|_| Err(stopping()))
    }

    pub(crate) fn running(&self) -> Option<Operation> {
        self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone()).filter(Operation::is_running)
    }

    pub(crate) fn follow_latest(&self) -> watch::Receiver<Latest> {
        self.inner.latest.subscribe()
    }

    /// The operation with this id, and its changes until it ends.
    pub(crate) async fn follow(&self, id: &str) -> Result<watch::Receiver<Operation>, Refusal> {
        if let Some(latest) = self.inner.latest.borrow().as_ref().filter(|latest| latest.borrow().id == id) {
            return Ok(latest.clone());
        }
        let unknown = || Refusal::new(reason::NO_SUCH_OPERATION, format!("no operation {id:?} is known on this node"));
        self.ended(id).await?.map(|ended| watch::channel(ended).1).ok_or_else(unknown)
    }

    /// The newest operations first.
    pub(crate) async fn newest(&self, limit: usize) -> Vec<Operation> {
        let latest = self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone());
        let ended = self.inner.store.run(move |store| store.newest(limit)).await;
        let mut newest: Vec<_> = latest.into_iter().collect();
        let first = newest.first().map(|latest| latest.id.clone());
        newest.extend(ended.into_iter().flatten().filter(|ended| Some(&ended.id) != first.as_ref()));
        newest.truncate(limit);
        newest
    }

    /// How many reboots login1 was asked for within the last day.
    pub(crate) async fn reboots_within_a_day(&self) -> usize {
        let since = clock::now().checked_sub(REBOOT_BUDGET_PERIOD).unwrap_or(Timestamp::UNIX_EPOCH);
        let reboots = self.inner.store.run(move |store| store.reboots_since(since)).await.unwrap_or_default();
        let refused = |state: &State| matches!(state, State::Failed(failure) if failure.kind == FailureKind::Systemd);
        reboots.iter().filter(|reboot| reboot.progress == Progress::RebootAsked && !refused(&reboot.state)).count()
    }

    /// The highest epoch ever seen.
    pub(crate) fn epoch(&self) -> u64 {
        self.inner.store.lock().epoch()
    }

    /// What is wrong with the state directory, in sentences.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.inner.store.lock().warnings().to_vec()
    }

    /// Completes when the agent stops.
    pub(crate) async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    async fn ended(&self, id: &str) -> Result<Option<Operation>, Refusal> {
        if !self.inner.store.lock().knows(id) {
            return Ok(None);
        }
        let key = id.to_owned();
        match self.inner.store.run(move |store| store.ended(&key)).await {
            Some(Ok(operation)) => Ok(operation),
            Some(Err(error)) => {
                let message = chain(&error);
                Err(Refusal::new(reason::STATE_UNAVAILABLE, format!("operation {id:?} cannot be read: {message}")))
            }
            None => Err(stopping()),
        }
    }

    /// Runs a recorded operation in a task of its own, until it ends or the agent stops.
    fn begin(&self, operation: Operation, begin: Begin) {
        let (sender, receiver) = watch::channel(operation);
        self.inner.latest.send_replace(Some(receiver));
        let inner = Arc::clone(&self.inner);
        let run = Run::new(Arc::clone(&inner.machine), inner.store.clone(), sender);
        tokio::spawn(async move {
            tokio::select! {
                // First: after a stop not even one more step runs.
                biased;
                () = inner.stop.cancelled() => return,
                () = carry_out(&run, begin) => {}
            }
            Self { inner }.prune().await;
        });
    }

    async fn prune_for_ever(self) {
        let mut ticks = tokio::time::interval(PRUNE_EVERY);
        loop {
            tokio::select! {
                biased;
                () = self.inner.stop.cancelled() => return,
                _ = ticks.tick() => self.prune().await,
            }
        }
    }

    async fn prune(&self) {
        let retention = self.inner.machine.config().operations;
        let pruned = self.inner.store.run(move |store| store.prune(clock::now(), retention)).await;
        if let Some(Err(error)) = pruned {
            warn!("old operations cannot be removed: {}", chain(&error));
        }
    }
}

/// Runs an operation to its end.
async fn carry_out(run: &Run, begin: Begin) {
    let outcome = match run.operation().change {
        Change::RebootNode { .. } => reboot::run(run, begin).await,
        _ => unit::run(run, begin).await,
    };
    run.end(outcome).await;
}

/// The caller may retry: the next agent will answer, or the machine is going down.
fn stopping() -> Refusal {
    Refusal::new(reason::STATE_UNAVAILABLE, "the agent is stopping, and nothing was begun; ask it again in a moment")
}
