//! What is written into the state directory. Each change is made in memory once it is on disk, in the same turn of the one writer,
//! so that a caller that gives up waiting leaves both alike.

use std::{path::Path, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use usher_common::chain;

use super::{
    EPOCH, Epoch, REBOOTS, RUNNING, STOPPED, Shared, Store, StoreError,
    entry::Entry,
    file,
    load::{load, try_to_write},
    stopped::StoppedUnits,
};
use crate::{
    config::Retention,
    operations::{moment::Moment, record::Operation},
};

impl Store {
    /// Records an operation: a running one in `running.json`, one that has ended in `operations/`. After an error the previous
    /// state stays.
    pub(crate) async fn save(&self, operation: &Operation, now: &Moment) -> Result<(), StoreError> {
        let (operation, now) = (operation.clone(), now.clone());
        self.write(move |shared| shared.save(&operation, &now)).await
    }

    /// Keeps an operation that has ended and could not be stored, until [`Store::file_rest`] can.
    pub(crate) fn keep(&self, operation: Operation) {
        let mut memory = self.shared.memory();
        memory.unfiled.retain(|kept| kept.sequence != operation.sequence);
        memory.unfiled.push(operation);
    }

    /// Stores what could not be stored when it ended.
    pub(crate) async fn file_rest(&self, now: &Moment) -> Result<(), StoreError> {
        if self.unfiled().is_none() {
            return Ok(());
        }
        let now = now.clone();
        let file_rest = move |shared: &Shared| {
            let unfiled = shared.memory().unfiled.clone();
            unfiled.iter().try_for_each(|operation| shared.save(operation, &now))
        };
        self.write(file_rest).await
    }

    /// Takes back the record of an operation that was not begun after all.
    pub(crate) async fn forget_running(&self) -> Result<(), StoreError> {
        self.write(|shared| shared.noting(file::remove(&shared.disk, &shared.folder.join(RUNNING)))).await
    }

    /// Records an epoch if it is higher. After an error the previous one stays.
    pub(crate) async fn raise_epoch(&self, epoch: u64) -> Result<(), StoreError> {
        let raise = move |shared: &Shared| {
            if epoch > shared.memory().epoch {
                shared.replace(EPOCH, &Epoch { highest: epoch })?;
                shared.memory().epoch = epoch;
            }
            Ok(())
        };
        self.write(raise).await
    }

    /// Removes operations that are too old or too many.
    pub(crate) async fn prune(&self, now: Timestamp, retention: Retention) -> Result<(), StoreError> {
        let prune = move |shared: &Shared| {
            let forgettable = shared.memory().history.forgettable(now, retention);
            for entry in forgettable {
                let path = shared.ended_file(&entry);
                // Forgotten first: a caller who asks for it now must not hear that its file cannot be read.
                shared.memory().history.remove(&entry);
                if let Err(error) = file::remove(&shared.disk, &path) {
                    shared.memory().history.insert(entry);
                    return Err(error);
                }
                shared.memory().damaged.remove(&path);
            }
            Ok(())
        };
        self.write(prune).await
    }

    /// A unit that the agent had stopped runs: it need not be started again.
    pub(crate) async fn runs_again(&self, unit: &str) -> Result<(), StoreError> {
        let unit = unit.to_owned();
        self.write(move |shared| shared.change_stopped(|stopped| stopped.forget(&unit))).await
    }

    /// The agent has begun to start a unit again by itself. `next` is how long after it the next attempt comes, should it fail.
    pub(crate) async fn attempted(
        &self,
        unit: &str,
        now: &Moment,
        next: Option<SignedDuration>,
    ) -> Result<(), StoreError> {
        let (unit, now) = (unit.to_owned(), now.clone());
        self.write(move |shared| shared.change_stopped(|stopped| stopped.attempted(&unit, &now, next))).await
    }

    /// Tries again to use a state directory that could not be read or written. Returns the operation that it says is running, if it
    /// could not be read before.
    pub(crate) async fn recover(&self) -> Result<Option<Operation>, StoreError> {
        let recover = |shared: &Shared| {
            if shared.memory().unread.is_none() {
                return shared.noting(try_to_write(&shared.disk, &shared.folder)).map(|()| None);
            }
            let (mut loaded, running) = load(&shared.disk, &shared.folder);
            let mut memory = shared.memory();
            loaded.unfiled.append(&mut memory.unfiled);
            loaded.next_sequence = loaded.next_sequence.max(memory.next_sequence);
            let readable = loaded.unread.is_none();
            *memory = loaded;
            Ok(running.filter(|_| readable))
        };
        self.write(recover).await
    }

    /// Runs `work` once it is its turn to write. It is carried out also if the caller gives up waiting.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.shared.writing).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        let written = self.shared.disk.run(move || {
            let _held_until_the_disk_has_answered = turn;
            work(&shared)
        });
        written.await.unwrap_or(Err(StoreError::Stopping))
    }
}

impl Shared {
    fn save(&self, operation: &Operation, now: &Moment) -> Result<(), StoreError> {
        self.count_reboot(operation, now)?;
        self.change_stopped(|stopped| stopped.update(operation, now))?;
        if operation.is_running() {
            return self.replace(RUNNING, operation).map(drop);
        }
        let path = self.ended_file(&Entry::of(operation, 0));
        let bytes = self.noting(file::write(&self.disk, &path, operation))?;
        self.memory().history.insert(Entry::of(operation, bytes));
        self.noting(file::remove(&self.disk, &self.folder.join(RUNNING)))?;
        self.memory().unfiled.retain(|kept| kept.sequence != operation.sequence);
        Ok(())
    }

    /// Counts a reboot, before the agent asks login1 for it.
    fn count_reboot(&self, operation: &Operation, now: &Moment) -> Result<(), StoreError> {
        let changed = match &self.memory().reboots {
            Ok(reboots) => {
                let mut reboots = reboots.clone();
                reboots.update(operation, now).then_some(reboots)
            }
            // It is used up already.
            Err(_) => None,
        };
        let Some(reboots) = changed else { return Ok(()) };
        self.replace(REBOOTS, &reboots)?;
        self.memory().reboots = Ok(reboots);
        Ok(())
    }

    fn change_stopped(&self, change: impl FnOnce(&mut StoppedUnits) -> bool) -> Result<(), StoreError> {
        let mut stopped = self.memory().stopped.clone();
        if change(&mut stopped) {
            self.replace(STOPPED, &stopped)?;
            self.memory().stopped = stopped;
        }
        Ok(())
    }

    pub(super) fn replace<T: Serialize>(&self, name: impl AsRef<Path>, content: &T) -> Result<(), StoreError> {
        self.noting(file::write(&self.disk, &self.folder.join(name), content)).map(drop)
    }

    /// Takes note of whether the directory can be written.
    fn noting<T>(&self, written: Result<T, StoreError>) -> Result<T, StoreError> {
        self.memory().unwritten = written.as_ref().err().map(|error| chain(error));
        written
    }
}
