//! The node's operations: admitted one at a time, recorded before they start, followed while they run, and found again by
//! their ids.

mod admit;
mod admitting;
mod blockers;
mod cancel;
mod cancel_call;
mod etcd_leader;
mod expected;
mod local;
pub(crate) mod moment;
mod observe;
mod reboot;
pub(crate) mod record;
mod run;
mod start_again;
mod store;
mod unit;
mod upkeep;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedMutexGuard, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use usher_common::chain;
use usher_proto::reason;

pub(crate) use admit::Request;
pub(crate) use blockers::{Blocker, BlockerKind, blockers};
pub(crate) use etcd_leader::LeaderMove;
pub(crate) use store::{NewHold, OwnedHold, Unannounced, Wanted};

use admitting::{Admitting, Awaited, Entered, Verdict};
use cancel::Cancel;
use moment::Moment;
use observe::Touched;
use record::{Change, Operation};
use run::{Begin, Run};
use store::Store;

use crate::{counters::Counters, machine::Machine, refusal::Refusal};

/// How long a question for an operation waits for the verdict on its call. Shorter than callers wait for an answer.
const VERDICT_WITHIN: Duration = Duration::from_secs(5);

/// The latest operation as it is now, running or ended. `None` until there is one.
pub(crate) type Latest = Option<watch::Receiver<Operation>>;

/// As long as it lives, no operation begins: calls that ask for one wait, and if the process ends, their callers ask the next.
#[derive(Debug)]
pub(crate) struct Quiet {
    _admission: OwnedMutexGuard<()>,
}

/// All operations of the node. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    machine: Arc<Machine>,
    store: Store,
    /// Held from the first check of a request until its operation has started.
    admission: Arc<tokio::sync::Mutex<()>>,
    admitting: Admitting,
    latest: watch::Sender<Latest>,
    /// The latest operation's.
    cancel: Mutex<Cancel>,
    counters: Arc<Counters>,
    /// Wakes what keeps the store in order.
    ended: Notify,
    /// Wakes what starts units again.
    stopped: Notify,
    /// Wakes what looks at the units.
    observe: Notify,
    /// Told after each look at the units.
    observed: watch::Sender<()>,
    touched: Mutex<Touched>,
    stop: CancellationToken,
}

impl Operations {
    /// Opens the state directory and resumes the operation that was running. Once `stop` is cancelled, nothing more is done or
    /// recorded; the next agent resumes what runs. A directory that cannot be used is no reason not to answer reads: until it can
    /// be, changes are refused and [`Operations::warnings`] says why.
    pub(crate) fn open(machine: Arc<Machine>, counters: Arc<Counters>, stop: CancellationToken) -> Self {
        let (store, left) = Store::open(machine.disk.clone(), machine.config().state_directory.clone());
        for warning in store.warnings() {
            warn!("{warning}");
        }
        let inner = Inner {
            machine,
            store,
            admission: Arc::default(),
            admitting: Admitting::default(),
            latest: watch::Sender::new(None),
            cancel: Mutex::default(),
            counters,
            ended: Notify::new(),
            stopped: Notify::new(),
            observe: Notify::new(),
            observed: watch::Sender::new(()),
            touched: Mutex::default(),
            stop,
        };
        let operations = Self { inner: Arc::new(inner) };
        if let Some(left) = left.clone() {
            info!(operation = left.id, "found an operation that was running: {}", left.change.description());
            operations.begin(left, Begin::Resumed);
        }
        tokio::spawn(operations.clone().keep_order_for_ever());
        tokio::spawn(operations.clone().start_again_for_ever());
        tokio::spawn(operations.clone().observe_for_ever(left));
        operations
    }

    /// Checks a request, records it, starts it and returns its state. A refused request has changed nothing.
    ///
    /// This completes even if the caller disconnects: within 8 s the operation has begun, and is found by its id, or never will.
    /// A second call with the same id and change waits for the verdict on the first.
    pub(crate) async fn submit(&self, request: Request) -> Verdict {
        request.check()?;
        let operations = self.clone();
        if request.order.dry_run {
            let checked = tokio::spawn(async move { operations.admit(request).await });
            return checked.await.unwrap_or_else(|_| Err(stopping()));
        }
        let awaited = match self.inner.admitting.enter(&request) {
            Entered::Joined(awaited) => awaited,
            Entered::Other(change) => return Err(admit::id_reused(&request.id, &change, "just now")),
            Entered::First(place, awaited) => {
                tokio::spawn(async move { place.tell(operations.admit(request).await) });
                awaited
            }
        };
        verdict(awaited).await
    }

    pub(crate) fn running(&self) -> Option<Operation> {
        self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone()).filter(Operation::is_running)
    }

    /// Keeps operations from beginning, unless the agent is needed: for one that runs, is being checked, or has not been stored yet,
    /// or for a unit that it is to start again.
    pub(crate) fn quiet(&self) -> Option<Quiet> {
        let inner = &self.inner;
        // Held by the call that is being checked.
        let admission = Arc::clone(&inner.admission).try_lock_owned().ok()?;
        let owes = inner.store.unfiled().is_some() || inner.store.start_again(&Moment::now(&inner.machine)).is_some();
        let needed = owes || self.running().is_some() || !inner.admitting.is_empty();
        (!needed).then_some(Quiet { _admission: admission })
    }

    pub(crate) fn follow_latest(&self) -> watch::Receiver<Latest> {
        self.inner.latest.subscribe()
    }

    /// The operation with this id, and its changes until it ends.
    ///
    /// While the call that names it is being checked, this waits for the verdict: what is refused was never known.
    pub(crate) async fn follow(&self, id: &str) -> Result<watch::Receiver<Operation>, Refusal> {
        if let Some(awaited) = self.inner.admitting.verdict(id)
            && timeout(VERDICT_WITHIN, verdict(awaited)).await.is_err()
        {
            let message = format!("the call of operation {id:?} is still being checked on this node; ask again");
            return Err(Refusal::new(reason::ADMITTING, message));
        }
        if let Some(latest) = self.inner.latest.borrow().as_ref().filter(|latest| latest.borrow().id == id) {
            return Ok(latest.clone());
        }
        let unknown = || Refusal::new(reason::NO_SUCH_OPERATION, format!("no operation {id:?} is known on this node"));
        self.ended(id).await?.map(|ended| watch::channel(ended).1).ok_or_else(unknown)
    }

    /// The newest operations first, and whether some within the limit are left out because those before them are large.
    pub(crate) async fn newest(&self, limit: usize) -> (Vec<Operation>, bool) {
        let latest = self.inner.latest.borrow().as_ref().map(|latest| latest.borrow().clone());
        let (ended, truncated) = self.inner.store.newest(limit).await;
        let mut newest: Vec<_> = latest.into_iter().collect();
        let first = newest.first().map(|latest| latest.id.clone());
        newest.extend(ended.into_iter().filter(|ended| Some(&ended.id) != first.as_ref()));
        newest.truncate(limit);
        (newest, truncated)
    }

    /// How many reboots of the last day the budget counts.
    ///
    /// # Errors
    ///
    /// Why that is unknown, in words. Then no reboot is left.
    pub(crate) fn reboots_within_a_day(&self) -> Result<usize, String> {
        self.inner.store.reboots(&Moment::now(&self.inner.machine))
    }

    /// The highest epoch ever seen.
    pub(crate) fn epoch(&self) -> u64 {
        self.inner.store.epoch()
    }

    /// What is wrong with the state directory, in sentences.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.inner.store.warnings()
    }

    /// Completes when the agent stops.
    pub(crate) async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    fn touched(&self) -> MutexGuard<'_, Touched> {
        self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ended(&self, id: &str) -> Result<Option<Operation>, Refusal> {
        self.inner.store.ended(id).await.map_err(|error| {
            let message = format!("operation {id:?} cannot be read: {}", chain(&error));
            Refusal::new(reason::STATE_UNAVAILABLE, message)
        })
    }

    /// Runs a recorded operation in a task of its own, until it ends or the agent stops.
    fn begin(&self, operation: Operation, begin: Begin) {
        if let Some(unit) = operation.change.unit() {
            self.touched().insert(unit.to_owned(), operation.sequence);
        }
        let (sender, receiver) = watch::channel(operation);
        let cancel = Cancel::default();
        *self.inner.cancel.lock().unwrap_or_else(PoisonError::into_inner) = cancel.clone();
        self.inner.latest.send_replace(Some(receiver));
        let inner = Arc::clone(&self.inner);
        let run = Run::new(Arc::clone(&inner.machine), inner.store.clone(), sender, cancel);
        tokio::spawn(async move {
            tokio::select! {
                // First: after a stop not even one more step runs.
                biased;
                () = inner.stop.cancelled() => return,
                () = carry_out(&run, begin) => {}
            }
            count(&inner.counters, &run.operation());
            inner.stopped.notify_one();
            inner.observe.notify_one();
            Self { inner: Arc::clone(&inner) }.prune().await;
            inner.ended.notify_one();
        });
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

/// A reboot is counted by the agent that finds its end, after the boot.
fn count(counters: &Counters, ended: &Operation) {
    let took = ended.ended_at.map(|at| at.duration_since(ended.started_at));
    let took = took.and_then(|took| Duration::try_from(took).ok()).unwrap_or_default();
    let (change, succeeded) = (&ended.change, matches!(ended.state, record::State::Succeeded));
    counters.ended(change.call(), change.unit().unwrap_or_default(), succeeded, took);
}

/// The caller may retry: the next agent will answer, or the machine is going down.
pub(crate) fn stopping() -> Refusal {
    Refusal::new(reason::STATE_UNAVAILABLE, "the agent is stopping, and nothing was begun; ask it again in a moment")
}

async fn verdict(mut awaited: Awaited) -> Verdict {
    // Without a sender the task that checked the call was dropped.
    match awaited.wait_for(Option::is_some).await.map(|verdict| verdict.clone()) {
        Ok(Some(verdict)) => verdict,
        Ok(None) | Err(_) => Err(stopping()),
    }
}
