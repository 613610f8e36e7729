//! Reading the state directory at start, whatever is wrong with it: an agent that cannot store anything must still answer reads.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use usher_common::chain;

use super::{
    EPOCH, Epoch, HOLDS, Memory, OPERATIONS, REBOOTS, RUNNING, SEEN, STOPPED, StoreError, WANTED,
    entry::{Entry, History},
    file,
    holds::Holds,
    reboots::Reboots,
};
use crate::{
    disk::{Disk, HIGHEST_NUMBER},
    operations::{
        moment::Moment,
        record::{Change, Operation},
    },
};

/// How many files of the same name are set aside before the agent leaves a damaged one where it is.
const SET_ASIDE: u32 = 100;

/// How many of the last reboots are looked up in the history if there is no record of their own.
const REBOOTS_LOOKED_UP: usize = 64;

/// Reads everything, creates the folders if needed, and finds out whether the directory can be written.
pub(super) fn load(disk: &Disk, folder: &Path) -> (Memory, Option<Operation>) {
    let mut loading = Loading { disk, folder, damaged: BTreeMap::new() };
    let history = loading.history();
    let unread = history.as_ref().err().map(chain_of);
    let history = history.unwrap_or_default();
    let running = loading.running(&history);
    let unread = unread.or_else(|| running.as_ref().err().map(chain_of));
    let mut running = running.unwrap_or_default();
    let epoch = loading.epoch(&history, running.as_ref());
    let unread = unread.or_else(|| epoch.as_ref().err().map(chain_of));
    let reboots = loading.reboots(&history).map_err(|error| chain(&error));
    let stopped = loading.or_warn(STOPPED, "which units the agent has stopped is unknown");
    let wanted = loading.or_warn(WANTED, "which restarts were asked for on this node is unknown");
    let seen = loading.or_warn(SEEN, "which restarts went past usher is unknown");
    let holds = loading.holds().map_err(|error| chain(&error));
    let mut next_sequence = history.last_sequence() + 1;
    if let Some(running) = &mut running {
        // It is the newest one. It has no number if it is of an older agent, and a damaged one is none.
        if !(1..=HIGHEST_NUMBER).contains(&running.sequence) {
            running.sequence = next_sequence;
        }
        next_sequence = next_sequence.max(running.sequence + 1);
    }
    let memory = Memory {
        history,
        next_sequence,
        epoch: epoch.unwrap_or_default(),
        reboots,
        stopped,
        wanted,
        holds,
        seen,
        unfiled: Vec::new(),
        unread,
        unwritten: try_to_write(disk, folder).err().map(|error| chain(&error)),
        damaged: loading.damaged,
    };
    (memory, running)
}

/// Writes a file and removes it.
pub(super) fn try_to_write(disk: &Disk, folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("trial");
    disk.replace(&path, b"").map_err(|source| StoreError::Io { path: path.clone(), source })?;
    file::remove(disk, &path)
}

fn chain_of(error: &StoreError) -> String {
    chain(error)
}

struct Loading<'a> {
    disk: &'a Disk,
    folder: &'a Path,
    damaged: BTreeMap<PathBuf, String>,
}

impl Loading<'_> {
    fn history(&mut self) -> Result<History, StoreError> {
        let folder = self.folder.join(OPERATIONS);
        let io = |source| StoreError::Io { path: folder.clone(), source };
        self.disk.create_folder(&folder).map_err(io)?;
        let mut entries = Vec::new();
        for name in self.disk.list(&folder).map_err(io)? {
            let path = folder.join(&name);
            // One that was removed since has no size, and is found missing when it is read.
            match Entry::parse(&name, self.disk.size(&path).unwrap_or(0)) {
                Some(entry) => entries.push(entry),
                // On a read-only disk it stays, and does no harm.
                None if Disk::is_unfinished(&name) => drop(self.disk.remove(&path)),
                None => self.warn(&path, format!("{} is no operation of the agent's", path.display())),
            }
        }
        Ok(History::new(entries))
    }

    fn running(&mut self, history: &History) -> Result<Option<Operation>, StoreError> {
        let path = self.folder.join(RUNNING);
        let running = self.read_or_set_aside::<Operation>(&path)?;
        let had_ended = |running: &Operation| history.entries().iter().any(|entry| entry.is_of(running));
        if running.as_ref().is_some_and(had_ended) {
            // The power failed before this file was removed. If it stays, the next operation replaces it.
            let _ = file::remove(self.disk, &path);
            return Ok(None);
        }
        Ok(running)
    }

    fn epoch(&mut self, history: &History, running: Option<&Operation>) -> Result<u64, StoreError> {
        if let Some(epoch) = self.read_or_set_aside::<Epoch>(&self.folder.join(EPOCH))? {
            return Ok(epoch.highest);
        }
        // It is missing or damaged, but each operation holds the epoch that was recorded before it started.
        let ended = history.entries().iter().filter_map(|entry| self.read_ended(entry).ok().flatten());
        // But for starts, which are let in under any.
        let fenced = ended.chain(running.cloned()).filter(|known| !matches!(known.change, Change::StartUnit { .. }));
        Ok(fenced.map(|operation| operation.order.epoch).max().unwrap_or(0))
    }

    /// The reboots that the budget counts. A file that cannot be read is left where it is: as long as it is there, the budget is
    /// used up. Without one, the history tells them.
    fn reboots(&self, history: &History) -> Result<Reboots, StoreError> {
        if let Some(reboots) = file::read(self.disk, &self.folder.join(REBOOTS))? {
            return Ok(reboots);
        }
        let entries: Vec<_> = history.entries().iter().filter(|entry| entry.is_reboot()).collect();
        let newest = &entries[entries.len().saturating_sub(REBOOTS_LOOKED_UP)..];
        let mut reboots = Reboots::default();
        for operation in newest.iter().filter_map(|entry| self.read_ended(entry).ok().flatten()) {
            reboots.update(&operation, &Moment::by_the_clock(operation.started_at));
        }
        Ok(reboots)
    }

    /// The holds that were set through the agent. A file that cannot be read is left where it is, and holds the node.
    fn holds(&self) -> Result<Holds, StoreError> {
        file::read(self.disk, &self.folder.join(HOLDS)).map(Option::unwrap_or_default)
    }

    /// What a file holds, or nothing and a warning.
    fn or_warn<T: Default + for<'de> serde::Deserialize<'de>>(&mut self, name: &str, unknown: &str) -> T {
        let path = self.folder.join(name);
        self.read_or_set_aside(&path)
            .unwrap_or_else(|error| {
                self.warn(&path, format!("{unknown}: {}", chain(&error)));
                None
            })
            .unwrap_or_default()
    }

    fn read_ended(&self, entry: &Entry) -> Result<Option<Operation>, StoreError> {
        file::read(self.disk, &self.folder.join(OPERATIONS).join(entry.file_name()))
    }

    /// Reads a file; one that is damaged is renamed, never over another, and reported.
    fn read_or_set_aside<T: for<'de> serde::Deserialize<'de>>(&mut self, path: &Path) -> Result<Option<T>, StoreError> {
        match file::read(self.disk, path) {
            Err(StoreError::Damaged { path, source }) => {
                let free = (1..=SET_ASIDE).map(|number| match number {
                    1 => path.with_extension("damaged"),
                    _ => path.with_extension(format!("damaged.{number}")),
                });
                let aside = free.into_iter().find(|aside| matches!(self.disk.exists(aside), Ok(false)));
                let renamed = aside.filter(|aside| self.disk.rename(&path, aside).is_ok());
                let now = match renamed {
                    Some(aside) => format!("and is now {}", aside.display()),
                    None => "and is ignored".to_owned(),
                };
                self.warn(&path, format!("{} was damaged ({source}) {now}", path.display()));
                Ok(None)
            }
            read => read,
        }
    }

    fn warn(&mut self, path: &Path, warning: String) {
        self.damaged.insert(path.to_owned(), warning);
    }
}
