//! The node's operations: accepted one at a time, recorded before they begin, followed while they run, found again after.

mod admit;
mod blockers;
mod reboot;
mod run;
mod unit;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use usher_proto::reason;

pub use admit::Request;
pub(crate) use blockers::{Blocker, BlockerKind, blockers};

use crate::{
    error_chain,
    node::Node,
    operation::{FailureKind, Operation, Progress, State},
    refusal::Refusal,
    store::{REBOOTS_COUNT_FOR, Store, StoreError},
};
use run::{Begin, Run};

/// How often old operations are looked for, besides after each one.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The latest operation as it is now, running or ended. `None` until there is one.
pub type Latest = Option<watch::Receiver<Operation>>;

/// All operations of the node. Clones are the same.
#[derive(Debug, Clone)]
pub struct Operations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: Arc<Node>,
    store: Arc<Mutex<Store>>,
    /// Held from the first check of a request until its operation has begun.
    admission: tokio::sync::Mutex<()>,
    latest: watch::Sender<Latest>,
    stop: CancellationToken,
}

impl Operations {
    /// Opens the state directory and goes on with the operation that was running when it was left. Once `stop` is cancelled
    /// nothing more is done or recorded: what runs is the next agent's to go on with.
    ///
    /// # Errors
    ///
    /// If the state directory cannot be used.
    pub fn open(node: Arc<Node>, stop: CancellationToken) -> Result<Self, StoreError> {
        let (store, left) = Store::open(&node.config.state_directory)?;
        for warning in store.warnings() {
            warn!("{warning}");
        }
        let store = Arc::new(Mutex::new(store));
        let (admission, latest) = (tokio::sync::Mutex::new(()), watch::Sender::new(None));
        let operations = Self { inner: Arc::new(Inner { node, store, admission, latest, stop }) };
        if let Some(left) = left {
            info!(operation = left.id, "found an operation that was running: {}", left.change.words());
            operations.begin(left, Begin::Resumed);
        }
        tokio::spawn(operations.clone().prune_for_ever());
        Ok(operations)
    }

    /// Checks a request, records it, begins it and tells its state; see the contract for the order of refusals.
    ///
    /// A caller that goes away meanwhile changes nothing: what it asked for is then found under its id.
    ///
    /// # Errors
    ///
    /// If it is refused: then nothing was done.
    pub async fn submit(&self, request: Request) -> Result<Operation, Refusal> {
        let operations = self.clone();
        let admitted = tokio::spawn(async move {
            let _one_at_a_time = operations.inner.admission.lock().await;
            operations.admit(request).await
        });
        admitted.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// The operation that goes on now.
    pub fn running(&self) -> Option<Operation> {
        self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone()).filter(Operation::is_running)
    }

    /// Follows which operation is the latest.
    pub fn follow_latest(&self) -> watch::Receiver<Latest> {
        self.inner.latest.subscribe()
    }

    /// The operation with this id as it changes. One that has ended does not change.
    ///
    /// # Errors
    ///
    /// If no such operation is known, or its file cannot be read.
    pub async fn follow(&self, id: &str) -> Result<watch::Receiver<Operation>, Refusal> {
        if let Some(latest) = self.inner.latest.borrow().as_ref().filter(|latest| latest.borrow().id == id) {
            return Ok(latest.clone());
        }
        let unknown = || Refusal::new(reason::NO_SUCH_OPERATION, format!("no operation {id:?} is known on this node"));
        self.ended(id).await?.map(|ended| watch::channel(ended).1).ok_or_else(unknown)
    }

    /// Operations, the newest first.
    pub async fn newest(&self, limit: usize) -> Vec<Operation> {
        let latest = self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone());
        let ended = self.with_store(move |store| store.newest(limit)).await;
        let mut newest: Vec<_> = latest.into_iter().collect();
        let first = newest.first().map(|latest| latest.id.clone());
        newest.extend(ended.into_iter().flatten().filter(|ended| Some(&ended.id) != first.as_ref()));
        newest.truncate(limit);
        newest
    }

    /// Reboots within the last day that login1 was asked for.
    pub async fn reboots_within_a_day(&self) -> usize {
        let since = Timestamp::now().checked_sub(REBOOTS_COUNT_FOR).unwrap_or(Timestamp::UNIX_EPOCH);
        let reboots = self.with_store(move |store| store.reboots_since(since)).await.unwrap_or_default();
        let refused = |state: &State| matches!(state, State::Failed(failure) if failure.kind == FailureKind::Systemd);
        reboots.iter().filter(|reboot| reboot.progress == Progress::RebootAsked && !refused(&reboot.state)).count()
    }

    /// The highest epoch that was seen.
    pub fn epoch(&self) -> u64 {
        self.store().epoch()
    }

    /// What is wrong with the state directory, as sentences.
    pub fn warnings(&self) -> Vec<String> {
        self.store().warnings().to_vec()
    }

    /// Done when the agent stops.
    pub async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    async fn ended(&self, id: &str) -> Result<Option<Operation>, Refusal> {
        if !self.store().knows(id) {
            return Ok(None);
        }
        let key = id.to_owned();
        match self.with_store(move |store| store.ended(&key)).await {
            Some(Ok(operation)) => Ok(operation),
            Some(Err(error)) => {
                let words = error_chain(&error);
                Err(Refusal::new(reason::STATE_UNAVAILABLE, format!("operation {id:?} cannot be read: {words}")))
            }
            None => Err(stopping()),
        }
    }

    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.inner.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Files are read and synced away from the runtime. `None` only if that is going down.
    async fn with_store<T: Send + 'static>(&self, work: impl FnOnce(&mut Store) -> T + Send + 'static) -> Option<T> {
        run::with_store(&self.inner.store, work).await
    }

    /// Goes on with a recorded operation in a task of its own, to its end or the agent's.
    fn begin(&self, operation: Operation, begin: Begin) {
        let (sender, receiver) = watch::channel(operation);
        self.inner.latest.send_replace(Some(receiver));
        let inner = Arc::clone(&self.inner);
        let run = Run::new(Arc::clone(&inner.node), Arc::clone(&inner.store), sender);
        tokio::spawn(async move {
            tokio::select! {
                // First: after a stop not even one more step is taken.
                biased;
                () = inner.stop.cancelled() => return,
                () = run.to_its_end(begin) => {}
            }
            Self { inner }.prune().await;
        });
    }

    async fn prune_for_ever(self) {
        let mut ticks = tokio::time::interval(PRUNE_EVERY);
        loop {
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                _ = ticks.tick() => self.prune().await,
            }
        }
    }

    async fn prune(&self) {
        let retention = self.inner.node.config.operations;
        let pruned = self.with_store(move |store| store.prune(Timestamp::now(), retention)).await;
        if let Some(Err(error)) = pruned {
            warn!("old operations cannot be removed: {}", error_chain(&error));
        }
    }
}

/// The caller may ask again in a moment: the next agent answers, or the machine is going down.
fn stopping() -> Refusal {
    Refusal::new(reason::STATE_UNAVAILABLE, "the agent is stopping, and nothing was begun; ask it again in a moment")
}
