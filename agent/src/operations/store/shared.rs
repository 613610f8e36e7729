//! The store as asynchronous code uses it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{spawn_blocking, yield_now};

use super::Store;

/// One store for all who use it. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct SharedStore {
    store: Arc<Mutex<Store>>,
    in_memory: bool,
}

impl SharedStore {
    pub(crate) fn new(store: Store) -> Self {
        Self { in_memory: store.disk.is_memory(), store: Arc::new(Mutex::new(store)) }
    }

    /// The store itself, for what touches no file.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and writes files away from the runtime, which they would block. `None` only if the runtime is going down.
    ///
    /// In memory nothing blocks, and another thread would make the order of events depend on the scheduler. The work is done
    /// here instead, between two moments at which the task can be dropped: before the first nothing is written, before the
    /// second everything is and nobody was told.
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
