//! Durable state: operations and the highest epoch, as JSON files in the state directory.
//!
//! `running.json` is the running operation, if any; `operations/` holds those that have ended, one file each, named
//! `TIME.KIND.ID.json` so that listing them reads none; `epoch.json` is the highest epoch. Files are replaced atomically and
//! durably.
//!
//! [`Store`] blocks; [`SharedStore`] keeps it off the runtime.

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

/// The period of the reboot budget. Records of reboots are kept for it, whatever the retention says.
pub(crate) const REBOOT_BUDGET_PERIOD: SignedDuration = SignedDuration::from_hours(24);

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading, writing or syncing failed.
    #[error("{path}")]
    Io { path: PathBuf, source: io::Error },
    /// A file holds something else than the agent writes.
    #[error("{path} is damaged")]
    Damaged { path: PathBuf, source: serde_json::Error },
    /// The runtime is shutting down, and nothing more is written.
    #[error("the agent is stopping")]
    Stopping,
}

/// The state directory, used by one process at a time.
#[derive(Debug)]
pub(crate) struct Store {
    disk: Disk,
    folder: PathBuf,
    /// Oldest first.
    ended: Vec<Entry>,
    epoch: u64,
    warnings: Vec<String>,
}

/// What the name of a file in `operations/` says.
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
    /// Opens a state directory, creating it if needed, and returns the operation that was running. A damaged file is renamed
    /// and reported in [`Store::warnings`].
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
        // It is missing or damaged, but each operation holds the epoch that was recorded before it started.
        let operations = self.ended.iter().filter_map(|entry| self.read(entry).ok());
        Ok(operations.map(|operation| operation.order.epoch).max().unwrap_or(0))
    }

    fn read_running(&mut self) -> Result<Option<Operation>, StoreError> {
        let path = self.running_file();
        let running = self.read_or_set_aside::<Operation>(&path)?;
        let Some(running) = running.filter(|running| self.ended.binary_search(&Entry::of(running)).is_err()) else {
            // It had ended, and the power failed before this file was removed.
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

    /// What was wrong with files, in sentences.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Records an epoch if it is higher. After an error the previous one stays.
    pub(crate) fn raise_epoch(&mut self, epoch: u64) -> Result<(), StoreError> {
        if epoch > self.epoch {
            file::write(&self.disk, &self.folder.join("epoch.json"), &Epoch { highest: epoch })?;
            self.epoch = epoch;
        }
        Ok(())
    }

    /// Records an operation: a running one in `running.json`, one that has ended in `operations/`. After an error the previous
    /// state stays.
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

    /// Whether an operation with this id has ended. Reads no file.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.ended.iter().any(|entry| entry.id == id)
    }

    /// An operation that has ended, by its id.
    pub(crate) fn ended(&self, id: &str) -> Result<Option<Operation>, StoreError> {
        self.ended.iter().rev().find(|entry| entry.id == id).map(|entry| self.read(entry)).transpose()
    }

    /// The newest `limit` operations that have ended, newest first. Unreadable files are left out and reported.
    pub(crate) fn newest(&mut self, limit: usize) -> Vec<Operation> {
        let read: Vec<_> = self.ended.iter().rev().take(limit).map(|entry| self.read(entry)).collect();
        read.into_iter().filter_map(|operation| self.unless_damaged(operation)).collect()
    }

    /// Reboots that started after `since` and have ended. Unreadable files are left out and reported.
    pub(crate) fn reboots_since(&mut self, since: Timestamp) -> Vec<Operation> {
        let since = since.as_millisecond();
        let recent = self.ended.iter().rev().take_while(|entry| entry.started_ms > since);
        let read: Vec<_> = recent.filter(|entry| entry.reboot).map(|entry| self.read(entry)).collect();
        read.into_iter().filter_map(|operation| self.unless_damaged(operation)).collect()
    }

    /// Removes operations that are too old or too many, but no reboot that still counts: the budget stops reboot loops, and a
    /// short retention must not defeat it.
    pub(crate) fn prune(&mut self, now: Timestamp, retention: Retention) -> Result<(), StoreError> {
        let keep = SignedDuration::try_from(retention.keep).unwrap_or(SignedDuration::MAX);
        let before = |duration| now.checked_sub(duration).map_or(i64::MIN, Timestamp::as_millisecond);
        let (oldest, counting) = (before(keep), before(REBOOT_BUDGET_PERIOD));
        let too_many = self.ended.len().saturating_sub(retention.keep_count);
        let removed = |(place, entry): &(usize, &Entry)| {
            let counts = entry.reboot && entry.started_ms > counting;
            (*place < too_many || entry.started_ms < oldest) && !counts
        };
        let removed: Vec<_> = self.ended.iter().enumerate().filter(removed).map(|(_, entry)| entry.clone()).collect();
        for entry in removed {
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
