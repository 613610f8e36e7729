//! Durable state, as JSON files in the state directory.
//!
//! `running.json` is the running operation, if any; `operations/` holds those that have ended, one file each, with names that
//! tell enough to list them; `epoch.json` is the highest epoch; `reboots.json` is what the budget counts; `stopped.json` are the
//! units that the agent stopped last; `wanted.json` and `holds.json` are what the node's root asked for; `seen.json` is what units
//! were last seen to run as. Files are replaced atomically and durably, by one writer at a time.
//!
//! What callers ask for most is in memory, and the lock on that is never held while a file is touched: a disk that hangs holds up
//! changes, and reads of past operations, but nothing else.

mod entry;
mod file;
mod holds;
mod load;
mod local;
mod reboots;
mod seen;
mod stopped;
mod wanted;
mod write;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use usher_common::chain;

pub(crate) use holds::{NewHold, OWNERS, OwnedHold};
pub(crate) use local::Looked;
pub(crate) use seen::Unannounced;
pub(crate) use stopped::StartAgain;
pub(crate) use wanted::{Ask, Asked, Wanted};

use self::{
    entry::{Entry, History},
    holds::Holds,
    reboots::Reboots,
    seen::Seen,
    stopped::StoppedUnits,
    wanted::WantedRestarts,
};
use super::{moment::Moment, record::Operation};
use crate::disk::Disk;

const OPERATIONS: &str = "operations";
const RUNNING: &str = "running.json";
const EPOCH: &str = "epoch.json";
const REBOOTS: &str = "reboots.json";
const STOPPED: &str = "stopped.json";
const WANTED: &str = "wanted.json";
const HOLDS: &str = "holds.json";
const SEEN: &str = "seen.json";

/// The highest epoch that a lock can have: the transitions of a Lease are an int32.
pub(crate) const HIGHEST_EPOCH: u64 = 2_147_483_647;

/// How many reads of past operations may be under way. Each holds a thread for as long as the disk takes.
const READS_AT_ONCE: usize = 4;

/// How many bytes of stored operations a list may hold: clients decode messages of up to 4 MiB.
const LIST_LIMIT: u64 = 1024 * 1024;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Reading, writing or syncing failed.
    #[error("{path}")]
    Io { path: PathBuf, source: io::Error },
    /// A file holds something else than the agent writes.
    #[error("{path} is damaged")]
    Damaged { path: PathBuf, source: serde_json::Error },
    /// A later version of the agent wrote it.
    #[error(
        "{path} was written by a newer usher-agent (format {version}); install that one again, or move the file out of the folder"
    )]
    Newer { path: PathBuf, version: u32 },
    /// The holds are unknown, and are not written over.
    #[error("the holds of this node cannot be read: {0}")]
    HoldsUnread(String),
    /// The runtime is shutting down, and nothing more is written.
    #[error("the agent is stopping")]
    Stopping,
}

#[derive(Serialize, Deserialize)]
struct Epoch {
    highest: u64,
}

/// The state directory, used by one process at a time. Clones are the same store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Disk,
    folder: PathBuf,
    memory: Mutex<Memory>,
    /// Held by the one writer, for as long as its files take.
    writing: Arc<tokio::sync::Mutex<()>>,
    reading: Arc<Semaphore>,
}

/// What is known without touching a file.
#[derive(Debug)]
struct Memory {
    history: History,
    next_sequence: u64,
    epoch: u64,
    /// Or why their number is unknown.
    reboots: Result<Reboots, String>,
    stopped: StoppedUnits,
    wanted: WantedRestarts,
    /// Or why they are unknown.
    holds: Result<Holds, String>,
    seen: Seen,
    /// Operations that have ended and could not be stored yet.
    unfiled: Vec<Operation>,
    /// Why the folder could not be read at start.
    unread: Option<String>,
    /// Why the last write failed.
    unwritten: Option<String>,
    /// Files that are damaged or foreign, and what is to be said of them.
    damaged: BTreeMap<PathBuf, String>,
}

impl Store {
    /// Opens a state directory, creating it if needed, and returns the operation that was running. What is wrong with it is in
    /// [`Store::warnings`]; if it cannot be used, [`Store::unusable`] says why.
    pub(crate) fn open(disk: Disk, folder: PathBuf) -> (Self, Option<Operation>) {
        let (memory, running) = load::load(&disk, &folder);
        let (writing, reading) = (Arc::default(), Arc::new(Semaphore::new(READS_AT_ONCE)));
        (Self { shared: Arc::new(Shared { disk, folder, memory: Mutex::new(memory), writing, reading }) }, running)
    }

    /// The highest epoch seen.
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.memory().epoch
    }

    /// The place in the history for a new operation.
    pub(crate) fn next_sequence(&self) -> u64 {
        let mut memory = self.shared.memory();
        memory.next_sequence += 1;
        memory.next_sequence - 1
    }

    /// How many reboots the budget counts at `now`.
    ///
    /// # Errors
    ///
    /// Why that is unknown, in words.
    pub(crate) fn reboots(&self, now: &Moment) -> Result<usize, String> {
        self.shared.memory().reboots.as_ref().map(|reboots| reboots.used(now)).map_err(Clone::clone)
    }

    /// Whether the last operation on this unit was a stop.
    pub(crate) fn has_stopped(&self, unit: &str) -> bool {
        self.shared.memory().stopped.contains(unit)
    }

    /// The unit that the agent is to start again next.
    pub(crate) fn start_again(&self, now: &Moment) -> Option<StartAgain> {
        self.shared.memory().stopped.next(now)
    }

    /// Why no change can be recorded, if that is known already.
    pub(crate) fn unusable(&self) -> Option<String> {
        let memory = self.shared.memory();
        memory.unread.clone().or_else(|| memory.unwritten.clone())
    }

    /// Why the directory could not be read, and what is in it is unknown.
    pub(crate) fn unread(&self) -> Option<String> {
        self.shared.memory().unread.clone()
    }

    /// Whether an operation that has ended is not on disk yet; its id.
    pub(crate) fn unfiled(&self) -> Option<String> {
        self.shared.memory().unfiled.first().map(|operation| operation.id.clone())
    }

    /// What is wrong with the state directory, in sentences.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let memory = self.shared.memory();
        let folder = self.shared.folder.display();
        let mut warnings: Vec<_> = memory.damaged.values().cloned().collect();
        warnings.extend(
            memory
                .unread
                .as_ref()
                .map(|why| format!("the state directory {folder} cannot be read, so every change is refused: {why}")),
        );
        warnings.extend(memory.unwritten.as_ref().map(|why| {
            format!("the state directory {folder} cannot be written, so every change but the start of a stopped unit is refused: {why}")
        }));
        warnings.extend(memory.unfiled.iter().map(|operation| {
            format!("the end of operation {} could not be stored yet, so the next change is refused", operation.id)
        }));
        warnings.extend(memory.reboots.as_ref().err().map(|why| {
            format!(
                "the record of reboots cannot be used, so every reboot is refused: {why}. If this is no loop of reboots, remove {}; \
                 at its next start the agent counts from its past operations",
                self.shared.folder.join(REBOOTS).display()
            )
        }));
        warnings.extend(memory.holds.as_ref().err().map(|why| {
            format!(
                "the holds that were set through the agent cannot be read, so the node is held: {why}. If none is to hold it, remove {} \
                 and restart usher-agent",
                self.shared.folder.join(HOLDS).display()
            )
        }));
        if memory.epoch > HIGHEST_EPOCH {
            warnings.push(format!(
                "the highest epoch seen, {}, is more than any lock can have, so every change is refused. Stop usher-agent, write the \
                 lock's leaseTransitions as \"highest\" into {}, and start it again",
                memory.epoch,
                self.shared.folder.join(EPOCH).display()
            ));
        }
        warnings
    }

    /// An operation that has ended, by its id.
    pub(crate) async fn ended(&self, id: &str) -> Result<Option<Operation>, StoreError> {
        let entry = {
            let memory = self.shared.memory();
            if let Some(unfiled) = memory.unfiled.iter().rev().find(|operation| operation.id == id) {
                return Ok(Some(unfiled.clone()));
            }
            memory.history.find(id).cloned()
        };
        let Some(entry) = entry else { return Ok(None) };
        let read = self.read(move |shared| shared.read_ended(&entry)).await.unwrap_or(Err(StoreError::Stopping));
        // It may have been forgotten while it was read.
        if read.is_err() && self.shared.memory().history.find(id).is_none() {
            return Ok(None);
        }
        read.map(Some)
    }

    /// The newest `limit` operations that have ended, newest first, and of them no more than the first MiB; whether that has left some
    /// out. Those that cannot be read are left out and reported.
    pub(crate) async fn newest(&self, limit: usize) -> (Vec<Operation>, bool) {
        let (mut newest, entries, truncated) = {
            let memory = self.shared.memory();
            let unfiled: Vec<_> = memory.unfiled.iter().rev().cloned().collect();
            let mut bytes = 0_u64;
            let within = |entry: &&Entry| {
                bytes = bytes.saturating_add(entry.bytes);
                bytes <= LIST_LIMIT
            };
            let known = memory.history.entries();
            let entries: Vec<_> = known.iter().rev().take(limit).take_while(within).cloned().collect();
            let truncated = entries.len() < known.len().min(limit);
            (unfiled, entries, truncated)
        };
        let read = self.read(move |shared| {
            let read = entries.iter().map(|entry| (entry.clone(), shared.read_ended(entry)));
            read.collect::<Vec<_>>()
        });
        for (entry, operation) in read.await.unwrap_or_default() {
            match operation {
                Ok(operation) => newest.push(operation),
                Err(error) => self.shared.warn_of(&entry, chain(&error)),
            }
        }
        newest.truncate(limit);
        (newest, truncated)
    }

    /// Reads files from a thread where that may take its time. `None` if the runtime is shutting down.
    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> T + Send + 'static) -> Option<T> {
        let permit = Arc::clone(&self.shared.reading).acquire_owned().await.ok()?;
        let shared = Arc::clone(&self.shared);
        let read = self.shared.disk.run(move || {
            let _held_until_the_disk_has_answered = permit;
            work(&shared)
        });
        read.await
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_ended(&self, entry: &Entry) -> Result<Operation, StoreError> {
        let path = self.ended_file(entry);
        file::read(&self.disk, &path)?.ok_or_else(|| StoreError::Io { path, source: io::ErrorKind::NotFound.into() })
    }

    fn warn_of(&self, entry: &Entry, warning: String) {
        let mut memory = self.memory();
        // Not of one that was forgotten in the meantime.
        if memory.history.find(&entry.id).is_some() {
            memory.damaged.insert(self.ended_file(entry), warning);
        }
    }

    fn ended_file(&self, entry: &Entry) -> PathBuf {
        self.folder.join(OPERATIONS).join(entry.file_name())
    }
}
