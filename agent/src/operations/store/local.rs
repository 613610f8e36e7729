//! What the node's own root has asked for, and what the agent has seen of the node between its operations.

use jiff::Timestamp;

use super::{
    HOLDS, Memory, SEEN, Shared, Store, StoreError, WANTED,
    holds::{NewHold, OwnedHold},
    seen::{Seen, Unannounced},
    wanted::{Ask, Wanted, WantedRestarts},
};
use crate::{machine::systemd::Unit, operations::moment::Moment};

/// A unit that has been looked at.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    pub(crate) unit: Unit,
    /// An operation of the agent's may have started it since the last look.
    pub(crate) announced: bool,
}

/// What came of a look at the units.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Starts that no operation of the agent's caused.
    pub(crate) unannounced: Vec<Unannounced>,
    /// Units whose requests are settled.
    pub(crate) settled: Vec<String>,
}

impl Store {
    /// The requests for a unit.
    pub(crate) fn wanted_restart(&self, unit: &str) -> Option<Wanted> {
        self.shared.memory().wanted.get(unit).cloned()
    }

    /// All requests, by unit.
    pub(crate) fn wanted_restarts(&self) -> Vec<(String, Wanted)> {
        let memory = self.shared.memory();
        memory.wanted.iter().map(|(unit, wanted)| (unit.clone(), wanted.clone())).collect()
    }

    /// The requests whose restart the agent is to begin.
    pub(crate) fn due_restarts(&self) -> Vec<(String, Wanted)> {
        let memory = self.shared.memory();
        memory.wanted.due().map(|(unit, wanted)| (unit.clone(), wanted.clone())).collect()
    }

    /// Records a request, and returns all of its unit.
    pub(crate) async fn ask_restart(&self, ask: Ask) -> Result<Option<Wanted>, StoreError> {
        let (number, unit) = (self.next_sequence(), ask.unit.clone());
        self.write(move |shared| shared.change_wanted(|wanted| wanted.ask(ask, number))).await?;
        Ok(self.wanted_restart(&unit))
    }

    /// Takes back the requests for a unit, and says whether there were any.
    pub(crate) async fn withdraw_restart(&self, unit: &str) -> Result<bool, StoreError> {
        let there = self.wanted_restart(unit).is_some();
        let unit = unit.to_owned();
        self.write(move |shared| shared.change_wanted(|wanted| _ = wanted.withdraw(&unit))).await?;
        Ok(there)
    }

    /// The agent has begun a restart that was asked for.
    pub(crate) async fn restart_begun(&self, unit: &str, number: u64) -> Result<(), StoreError> {
        let unit = unit.to_owned();
        self.write(move |shared| shared.change_wanted(|wanted| _ = wanted.begun(&unit, number))).await
    }

    /// The holds in force that were set through the agent.
    ///
    /// # Errors
    ///
    /// Why they are unknown, in words: then the node is held.
    pub(crate) fn holds(&self, now: &Moment) -> Result<Vec<OwnedHold>, String> {
        self.shared.memory().holds.as_ref().map(|holds| holds.in_force(now)).map_err(Clone::clone)
    }

    /// The file of these holds.
    pub(crate) fn holds_file(&self) -> std::path::PathBuf {
        self.shared.folder.join(HOLDS)
    }

    /// Sets a hold. `None` if there is no room for another owner's.
    pub(crate) async fn set_hold(&self, hold: NewHold, now: Moment) -> Result<Option<OwnedHold>, StoreError> {
        self.write(move |shared| shared.change_holds(|holds| holds.set(hold, &now))).await
    }

    /// Ends an owner's hold, and says whether there was one.
    pub(crate) async fn release_hold(&self, owner: &str, now: Moment) -> Result<bool, StoreError> {
        let owner = owner.to_owned();
        self.write(move |shared| shared.change_holds(|holds| holds.release(&owner, &now))).await
    }

    /// The last starts that no operation of the agent's caused, oldest first.
    pub(crate) fn unannounced(&self) -> Vec<Unannounced> {
        self.shared.memory().seen.unannounced().to_vec()
    }

    /// The boot in which the agent last ran; empty if it never did.
    pub(crate) fn seen_boot(&self) -> String {
        self.shared.memory().seen.boot_id().to_owned()
    }

    /// Takes note of the boot, which began at `at`. Returns it if nobody announced it.
    pub(crate) async fn boot(
        &self,
        boot_id: &str,
        at: Timestamp,
        announced: bool,
    ) -> Result<Option<Unannounced>, StoreError> {
        let boot_id = boot_id.to_owned();
        self.write(move |shared| shared.change_seen(|seen| seen.boot(&boot_id, at, announced))).await
    }

    /// Takes note of units that have been looked at in this boot. `is_known` tells of a unit whether the configuration names it.
    pub(crate) async fn look(
        &self,
        looked: Vec<Looked>,
        boot_id: &str,
        now: Timestamp,
        is_known: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<News, StoreError> {
        let boot_id = boot_id.to_owned();
        // Most often nothing is new, and the disk need not be asked.
        if !self.shared.memory().is_news(&looked, &boot_id, &is_known) {
            return Ok(News::default());
        }
        let look = move |shared: &Shared| {
            let mut news = News::default();
            shared.change_seen(|seen| {
                let (starts, changed) = note(seen, &looked, now);
                news.unannounced = starts;
                ((), changed)
            })?;
            shared.change_wanted(|wanted| news.settled = settle(wanted, &looked, &boot_id, &is_known))?;
            Ok(news)
        };
        self.write(look).await
    }
}

/// Notes what units run as. Returns the starts that nobody announced, and whether anything changed.
fn note(seen: &mut Seen, looked: &[Looked], now: Timestamp) -> (Vec<Unannounced>, bool) {
    let noted: Vec<_> = looked.iter().map(|looked| seen.unit(&looked.unit, now, looked.announced)).collect();
    let changed = noted.iter().any(|(_, changed)| *changed);
    (noted.into_iter().filter_map(|(start, _)| start).collect(), changed)
}

/// Forgets the requests that are settled, and those for units that are not known any more. Returns the units of the former.
fn settle(
    wanted: &mut WantedRestarts,
    looked: &[Looked],
    boot_id: &str,
    is_known: &impl Fn(&str) -> bool,
) -> Vec<String> {
    wanted.retain(is_known);
    let units = looked.iter().map(|looked| &looked.unit);
    let settled = units.filter(|unit| wanted.seen(&unit.name, &unit.invocation_id, boot_id));
    settled.map(|unit| unit.name.clone()).collect()
}

impl Memory {
    /// Whether a look tells anything that is not known.
    fn is_news(&self, looked: &[Looked], boot_id: &str, is_known: &impl Fn(&str) -> bool) -> bool {
        let (mut seen, mut wanted) = (self.seen.clone(), self.wanted.clone());
        let (_, changed) = note(&mut seen, looked, Timestamp::UNIX_EPOCH);
        settle(&mut wanted, looked, boot_id, is_known);
        changed || wanted != self.wanted
    }
}

impl Shared {
    fn change_wanted(&self, change: impl FnOnce(&mut WantedRestarts)) -> Result<(), StoreError> {
        let before = self.memory().wanted.clone();
        let mut wanted = before.clone();
        change(&mut wanted);
        if wanted != before {
            self.replace(WANTED, &wanted)?;
            self.memory().wanted = wanted;
        }
        Ok(())
    }

    fn change_holds<T>(&self, change: impl FnOnce(&mut super::holds::Holds) -> T) -> Result<T, StoreError> {
        // One that cannot be read is not written over: it may hold the node for a reason.
        let before = self.memory().holds.clone().map_err(StoreError::HoldsUnread)?;
        let mut holds = before.clone();
        let changed = change(&mut holds);
        if holds != before {
            self.replace(HOLDS, &holds)?;
            self.memory().holds = Ok(holds);
        }
        Ok(changed)
    }

    fn change_seen<T>(&self, change: impl FnOnce(&mut Seen) -> (T, bool)) -> Result<T, StoreError> {
        let mut seen = self.memory().seen.clone();
        let (told, changed) = change(&mut seen);
        if changed {
            self.replace(SEEN, &seen)?;
            self.memory().seen = seen;
        }
        Ok(told)
    }
}
