//! What survives: operations and the highest epoch, as JSON files in the state directory.
//!
//! `running.json` is the operation that goes on, if any; `operations/` holds those that have ended, one file each, named
//! `TIME.KIND.ID.json` so that a listing needs no reading; `epoch.json` is the highest epoch. Each file is written beside,
//! synced, renamed, and its folder synced: after a loss of power it is the old one or the new one, whole.
//!
//! Everything here blocks; [`SharedStore`] takes it away from the runtime.

mod file;
mod shared;

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use usher_common::chain;

pub(crate) use shared::SharedStore;

use super::record::{Change, Operation};
use crate::{config::Retention, disk::Disk};

/// Reboots are counted over this long, and their records are kept for it whatever the retention says.
pub(crate) const REBOOTS_COUNT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Why the state directory does not do what it must.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Reading, writing or syncing failed.
    #[error("{path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The agent is going down, and nothing is written any more.
    #[error("the agent is stopping")]
    Stopping,
}

/// The state directory. One process alone uses it.
#[derive(Debug)]
pub(crate) struct Store {
    disk: Disk,
    folder: PathBuf,
    /// By time, the oldest first.
    ended: Vec<Entry>,
    epoch: u64,
    warnings: Vec<String>,
}

/// One file of `operations/`, as its name tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    started_ms: i64,
    reboot: bool,
    id: String,
}

impl Entry {
    fn of(operation: &Operation) -> Self {
        Self {
            started_ms: operation.started_at.as_millisecond(),
            reboot: matches!(operation.change, Change::RebootNode { .. }),
            id: operation.id.clone(),
        }
    }

    fn file_name(&self) -> String {
        format!("{}.{}.{}.json", self.started_ms, if self.reboot { "reboot" } else { "unit" }, self.id)
    }

    fn parse(file_name: &str) -> Option<Self> {
        let mut parts = file_name.strip_suffix(".json")?.splitn(3, '.');
        let started_ms = parts.next()?.parse().ok()?;
        let reboot = match parts.next()? {
            "reboot" => true,
            "unit" => false,
            _ => return None,
        };
        Some(Self { started_ms, reboot, id: parts.next()?.to_owned() })
    }
}

#[derive(Serialize, Deserialize)]
struct Epoch {
    highest: u64,
}

impl Store {
    /// Opens a state directory, making what is missing, and tells of the operation that was running when it was left.
    ///
    /// A damaged file is set aside under another name and told of in [`Store::warnings`].
    ///
    /// # Errors
    ///
    /// If the folder cannot be used at all.
    pub(crate) fn open(disk: Disk, folder: &Path) -> Result<(Self, Option<Operation>), StoreError> {
        let operations = folder.join("operations");
        let io = |source| StoreError::Io { path: operations.clone(), source };
        disk.create_folder(&operations).map_err(io)?;
        let names = disk.list(&operations).map_err(io)?;
        let mut store = Self { disk, folder: folder.to_owned(), ended: Vec::new(), epoch: 0, warnings: Vec::new() };
        for name in names {
            let path = operations.join(&name);
            match Entry::parse(&name) {
                Some(entry) => store.ended.push(entry),
                None if Disk::is_unfinished(&name) => drop(store.disk.remove(&path)),
                None => store.warnings.push(format!("{} is no operation of the agent's", path.display())),
            }
        }
        store.ended.sort();
        store.epoch = store.read_epoch()?;
        let running = store.read_running()?;
        Ok((store, running))
    }

    fn read_epoch(&mut self) -> Result<u64, StoreError> {
        if let Some(epoch) = self.read_or_set_aside::<Epoch>(&self.folder.join("epoch.json"))? {
            return Ok(epoch.highest);
        }
        // None, or a damaged one: each operation tells the epoch of its order, and that was recorded before it began.
        let operations = self.ended.iter().filter_map(|entry| self.read(entry).ok());
        Ok(operations.map(|operation| operation.order.epoch).max().unwrap_or(0))
    }

    fn read_running(&mut self) -> Result<Option<Operation>, StoreError> {
        let path = self.running_file();
        let running = self.read_or_set_aside::<Operation>(&path)?;
        let Some(running) = running.filter(|running| self.ended.binary_search(&Entry::of(running)).is_err()) else {
            // It ended, and the power went before this file did.
            file::remove(&self.disk, &path)?;
            return Ok(None);
        };
        Ok(Some(running))
    }

    fn read_or_set_aside<T: for<'de> Deserialize<'de>>(&mut self, path: &Path) -> Result<Option<T>, StoreError> {
        match file::read(&self.disk, path) {
            Ok(content) => Ok(content),
            Err(StoreError::Damaged { path, source }) => {
                let aside = path.with_extension("damaged");
                self.disk.rename(&path, &aside).map_err(|source| StoreError::Io { path: path.clone(), source })?;
                self.warnings.push(format!("{} was damaged ({source}) and is now {}", path.display(), aside.display()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What was wrong with files, as sentences.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The highest epoch ever recorded.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Records an epoch, if it is higher.
    ///
    /// # Errors
    ///
    /// If it cannot be written: then the one before stays.
    pub(crate) fn raise_epoch(&mut self, epoch: u64) -> Result<(), StoreError> {
        if epoch > self.epoch {
            file::write(&self.disk, &self.folder.join("epoch.json"), &Epoch { highest: epoch })?;
            self.epoch = epoch;
        }
        Ok(())
    }

    /// Records the running operation as it is now; one that has ended is filed.
    ///
    /// # Errors
    ///
    /// If it cannot be written: then the state before stays.
    pub(crate) fn save(&mut self, operation: &Operation) -> Result<(), StoreError> {
        let running = self.running_file();
        if operation.is_running() {
            return file::write(&self.disk, &running, operation);
        }
        let entry = Entry::of(operation);
        file::write(&self.disk, &self.ended_file(&entry), operation)?;
        if let Err(place) = self.ended.binary_search(&entry) {
            self.ended.insert(place, entry);
        }
        file::remove(&self.disk, &running)
    }

    /// Whether an operation with this id has ended. Reads nothing.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.ended.iter().any(|entry| entry.id == id)
    }

    /// An operation that has ended, by its id.
    ///
    /// # Errors
    ///
    /// If its file cannot be read.
    pub(crate) fn ended(&self, id: &str) -> Result<Option<Operation>, StoreError> {
        self.ended.iter().rev().find(|entry| entry.id == id).map(|entry| self.read(entry)).transpose()
    }

    /// Operations that have ended, the newest first, at most `limit`. Files that cannot be read are left out and told of.
    pub(crate) fn newest(&mut self, limit: usize) -> Vec<Operation> {
        let read: Vec<_> = self.ended.iter().rev().take(limit).map(|entry| self.read(entry)).collect();
        read.into_iter().filter_map(|operation| self.unless_damaged(operation)).collect()
    }

    /// Reboots that began after `since` and have ended. A file that cannot be read counts as none.
    pub(crate) fn reboots_since(&mut self, since: Timestamp) -> Vec<Operation> {
        let since = since.as_millisecond();
        let recent = self.ended.iter().rev().take_while(|entry| entry.started_ms > since);
        let read: Vec<_> = recent.filter(|entry| entry.reboot).map(|entry| self.read(entry)).collect();
        read.into_iter().filter_map(|operation| self.unless_damaged(operation)).collect()
    }

    /// Forgets operations that are too old or too many, but no reboot that still counts: the budget is a brake on loops, and
    /// a short memory would be a way around it.
    ///
    /// # Errors
    ///
    /// If a file cannot be removed; the rest is tried at the next call.
    pub(crate) fn prune(&mut self, now: Timestamp, retention: Retention) -> Result<(), StoreError> {
        let keep = SignedDuration::try_from(retention.keep).unwrap_or(SignedDuration::MAX);
        let before = |duration| now.checked_sub(duration).map_or(i64::MIN, Timestamp::as_millisecond);
        let (oldest, counting) = (before(keep), before(REBOOTS_COUNT_FOR));
        let too_many = self.ended.len().saturating_sub(retention.keep_count);
        let forgotten = |(place, entry): &(usize, &Entry)| {
            let counts = entry.reboot && entry.started_ms > counting;
            (*place < too_many || entry.started_ms < oldest) && !counts
        };
        let forgotten: Vec<_> =
            self.ended.iter().enumerate().filter(forgotten).map(|(_, entry)| entry.clone()).collect();
        for entry in forgotten {
            file::remove(&self.disk, &self.ended_file(&entry))?;
            self.ended.retain(|kept| *kept != entry);
        }
        Ok(())
    }

    fn unless_damaged(&mut self, operation: Result<Operation, StoreError>) -> Option<Operation> {
        operation
            .inspect_err(|error| {
                let warning = chain(error);
                if !self.warnings.contains(&warning) {
                    self.warnings.push(warning);
                }
            })
            .ok()
    }

    fn read(&self, entry: &Entry) -> Result<Operation, StoreError> {
        let path = self.ended_file(entry);
        file::read(&self.disk, &path)?.ok_or_else(|| StoreError::Io { path, source: io::ErrorKind::NotFound.into() })
    }

    fn running_file(&self) -> PathBuf {
        self.folder.join("running.json")
    }

    fn ended_file(&self, entry: &Entry) -> PathBuf {
        self.folder.join("operations").join(entry.file_name())
    }
}
