//! The audit trail on disk: who asked for what, and how it was answered, one JSON object a line.
//!
//! The journal has the same records, for searching; but journald drops lines when there are many, and forgets. This
//! file drops nothing that changes the node: a changing call is on disk before it is looked at, and its answer before it is given.
//! It is bounded by its size: a full file becomes `audit.1.jsonl` and replaces the one before.
//!
//! A disk that hangs or is full keeps nobody from starting a stopped unit: after a moment the call goes on, and the node's
//! warnings say that the trail has a gap.

mod record;
mod trail;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::timeout,
};
use tracing::warn;

pub(crate) use record::{Phase, Record};

use crate::disk::Disk;
use trail::Trail;

/// How long a call waits for its record to be on disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many records may wait for the disk. Beyond that, refusals go unrecorded, and changing calls wait.
const QUEUE: usize = 64;

/// The largest page of [`Audit::newest_before`], in bytes on disk.
const PAGE: usize = 256 * 1024;

/// The trail. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    trail: Arc<Mutex<Trail>>,
    /// To the task that writes. `None` in memory, where nothing blocks.
    queue: Option<mpsc::Sender<Entry>>,
    /// What is wrong with the trail.
    warning: Arc<Mutex<Option<String>>>,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    durable: bool,
    written: oneshot::Sender<()>,
}

impl Audit {
    /// Opens the trail in the state directory. It is written by a task of the runtime. One that cannot be opened is tried again
    /// with each record.
    pub(crate) fn open(disk: Disk, folder: &Path) -> Self {
        let in_memory = disk.is_memory();
        let (trail, opened) = Trail::open(disk, folder);
        let trail = Arc::new(Mutex::new(trail));
        let warning = Arc::new(Mutex::default());
        let audit = Self { trail, queue: None, warning };
        audit.tell(opened.map_err(|error| error.to_string()));
        if in_memory {
            return audit;
        }
        let (sender, entries) = mpsc::channel(QUEUE);
        tokio::spawn(audit.clone().write(entries));
        Self { queue: Some(sender), ..audit }
    }

    /// Records something that may be lost with the power.
    pub(crate) fn note(&self, record: Record) {
        let (written, _) = oneshot::channel();
        match &self.queue {
            // With a full queue the disk is the trouble, and its warning stands already.
            Some(queue) => drop(queue.try_send(Entry { record, durable: false, written })),
            None => self.append(vec![record], false),
        }
    }

    /// Records something and waits until it is on disk, but not for ever.
    pub(crate) async fn keep(&self, record: Record) {
        let Some(queue) = &self.queue else { return self.append(vec![record], true) };
        let (written, done) = oneshot::channel();
        let kept = timeout(PATIENCE, async {
            queue.send(Entry { record, durable: true, written }).await.is_ok() && done.await.is_ok()
        });
        if !kept.await.unwrap_or_default() {
            self.tell(Err(format!("the disk did not take a record within {PATIENCE:?}")));
        }
    }

    /// The newest records with a lower sequence number than `before` (0: all), the newest first: at most `limit`, and not more
    /// than fit a page.
    pub(crate) async fn newest_before(&self, before: u64, limit: usize) -> std::io::Result<Vec<Record>> {
        if self.queue.is_none() {
            return lock(&self.trail).newest_before(before, limit, PAGE);
        }
        let trail = Arc::clone(&self.trail);
        // Only if the runtime is shutting down is there no answer.
        spawn_blocking(move || lock(&trail).newest_before(before, limit, PAGE)).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// What is wrong with the trail, in a sentence.
    pub(crate) fn warning(&self) -> Option<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write(self, mut entries: mpsc::Receiver<Entry>) {
        let mut waiting = Vec::new();
        while entries.recv_many(&mut waiting, QUEUE).await > 0 {
            let durable = waiting.iter().any(|entry| entry.durable);
            let (records, written): (Vec<_>, Vec<_>) =
                waiting.drain(..).map(|entry| (entry.record, entry.written)).unzip();
            let audit = self.clone();
            if spawn_blocking(move || audit.append(records, durable)).await.is_err() {
                return;
            }
            for written in written {
                // Its caller may have lost patience.
                let _ = written.send(());
            }
        }
    }

    fn append(&self, records: Vec<Record>, durable: bool) {
        let appended = lock(&self.trail).append(records, durable);
        self.tell(appended.map_err(|error| error.to_string()));
    }

    fn tell(&self, result: Result<(), String>) {
        let new = result.err().map(|error| format!("the audit trail in the state directory has a gap: {error}"));
        let mut warning = self.warning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = new.as_ref().filter(|new| warning.as_ref() != Some(new)) {
            warn!("{new}");
        }
        *warning = new;
    }
}

fn lock(trail: &Mutex<Trail>) -> MutexGuard<'_, Trail> {
    trail.lock().unwrap_or_else(PoisonError::into_inner)
}
