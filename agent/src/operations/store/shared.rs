//! The store for asynchronous code.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{spawn_blocking, yield_now};

use super::Store;

/// A store that several tasks share. Clones are the same store.
#[derive(Debug, Clone)]
pub(crate) struct SharedStore {
    store: Arc<Mutex<Store>>,
    in_memory: bool,
}

impl SharedStore {
    pub(crate) fn new(store: Store) -> Self {
        Self { in_memory: store.disk.is_memory(), store: Arc::new(Mutex::new(store)) }
    }

    /// The store itself, for calls that touch no file.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs work that reads and writes files on a thread where it may block. `None` only if the runtime is shutting down.
    ///
    /// In memory nothing blocks, and a second thread would make the order of events depend on the scheduler. The work then runs
    /// here, between two points where the task can be dropped: at the first one nothing is written, at the second everything is
    /// and nobody knows.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Option<T> {
        if self.in_memory {
            yield_now().await;
            let done = work(&mut self.lock());
            yield_now().await;
            return Some(done);
        }
        let store = self.clone();
        spawn_blocking(move || work(&mut store.lock())).await.ok()
    }
}
