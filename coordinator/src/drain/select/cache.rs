//! Answers of the API that are reused while they are young.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

/// Values and when the reading of each began. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Cache<K, V> {
    max_age: Duration,
    entries: Arc<Mutex<BTreeMap<K, (Instant, V)>>>,
}

impl<K: Ord, V: Clone> Cache<K, V> {
    /// A value is reused for `max_age` after its reading began.
    pub(crate) fn new(max_age: Duration) -> Self {
        Self { max_age, entries: Arc::default() }
    }

    /// With one value that was read from `begun` on.
    pub(crate) fn with(self, key: K, value: V, begun: Instant) -> Self {
        Self { entries: Arc::new(Mutex::new(BTreeMap::from([(key, (begun, value))]))), ..self }
    }

    pub(crate) async fn get(&self, key: &K) -> Option<V> {
        self.get_within(key, self.max_age).await
    }

    /// The value if it is not older than this, which may be more than what it is otherwise reused for.
    pub(crate) async fn get_within(&self, key: &K, max_age: Duration) -> Option<V> {
        younger(&*self.entries.lock().await, key, max_age)
    }

    pub(crate) async fn insert(&self, key: K, value: V, begun: Instant) {
        self.entries.lock().await.insert(key, (begun, value));
    }

    /// The value if it is young, else a new one. Concurrent callers wait for the one that reads.
    pub(crate) async fn get_or_read<E>(&self, key: K, read: impl AsyncFnOnce() -> Result<V, E>) -> Result<V, E> {
        let mut entries = self.entries.lock().await;
        if let Some(value) = younger(&entries, &key, self.max_age) {
            return Ok(value);
        }
        // First, so that a large value is not held twice.
        entries.remove(&key);
        let begun = Instant::now();
        let value = read().await?;
        entries.insert(key, (begun, value.clone()));
        Ok(value)
    }
}

fn younger<K: Ord, V: Clone>(entries: &BTreeMap<K, (Instant, V)>, key: &K, max_age: Duration) -> Option<V> {
    entries.get(key).filter(|(begun, _)| begun.elapsed() < max_age).map(|(_, value)| value.clone())
}
