//! One life of a coordinator: alive, frozen, dead.
//!
//! A process is dead when nothing of it has any effect any more. So it is marked dead first, which closes all its gates, and dropped
//! second: no destructor speaks.

use std::{
    future::{Future, pending, poll_fn},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};

use tokio::{sync::watch, time::Instant};

/// What a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Alive,
    /// Stopped as by SIGSTOP: its timers go on, and nothing of it runs.
    Frozen,
    Dead,
}

/// A coordinator's process. Clones are the same.
#[derive(Clone)]
pub(crate) struct Process {
    name: Arc<str>,
    phase: watch::Sender<Phase>,
    waker: Arc<Mutex<Option<Waker>>>,
    died: Arc<Mutex<Option<Instant>>>,
    ghosts: Arc<AtomicUsize>,
}

impl Process {
    pub(super) fn new(name: &str) -> Self {
        let phase = watch::Sender::new(Phase::Alive);
        Self { name: name.into(), phase, waker: Arc::default(), died: Arc::default(), ghosts: Arc::default() }
    }

    /// The operation that it runs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        locked(&self.died).get_or_insert_with(Instant::now);
        self.turn(Phase::Dead);
    }

    /// `kill -STOP`.
    pub(crate) fn freeze(&self) {
        self.turn(Phase::Frozen);
    }

    /// `kill -CONT`.
    pub(crate) fn thaw(&self) {
        self.turn(Phase::Alive);
    }

    pub(crate) fn is_alive(&self) -> bool {
        *self.phase.borrow() == Phase::Alive
    }

    /// How many requests it has begun after its death.
    pub(super) fn ghosts(&self) -> usize {
        self.ghosts.load(Ordering::Relaxed)
    }

    /// A request begins: a dead process must not begin any. What it was about to do in the instant of its death has no effect.
    pub(super) async fn begins(&self) {
        if locked(&self.died).is_some_and(|died| died < Instant::now()) {
            self.ghosts.fetch_add(1, Ordering::Relaxed);
        }
        self.passes().await;
    }

    /// The gate: a frozen process waits here until it is thawed, a dead one for ever.
    pub(super) async fn passes(&self) {
        let mut phases = self.phase.subscribe();
        if phases.wait_for(|phase| *phase == Phase::Alive).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Returns once it is dead.
    pub(super) async fn dies(&self) {
        let mut phases = self.phase.subscribe();
        if phases.wait_for(|phase| *phase == Phase::Dead).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Does this work for as long as it lives; `None` if it was killed. `looks` is called each time before it runs, and may kill it.
    pub(super) async fn lives<T>(&self, looks: impl Fn(&Self), work: impl Future<Output = T>) -> Option<T> {
        let mut work = Some(Box::pin(work));
        let lived = poll_fn(|context| {
            *locked(&self.waker) = Some(context.waker().clone());
            looks(self);
            // Not borrowed while it works: it may be killed by what it does.
            let phase = *self.phase.borrow();
            match (phase, &mut work) {
                (Phase::Alive, Some(work)) => work.as_mut().poll(context).map(Some),
                (Phase::Frozen, _) => Poll::Pending,
                _ => Poll::Ready(None),
            }
        });
        let lived = lived.await;
        drop(work);
        lived
    }

    fn turn(&self, phase: Phase) {
        // Nobody comes back from the dead.
        self.phase.send_if_modified(|now| {
            let turns = *now != Phase::Dead && *now != phase;
            if turns {
                *now = phase;
            }
            turns
        });
        let waker = locked(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
