//! What units and the node were last seen to run as, and the starts among it that no operation of this agent caused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::machine::systemd::Unit;

/// How many starts that nobody announced are remembered.
const REMEMBERED: usize = 32;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Empty until the agent has run on the node.
    boot_id: String,
    /// In this boot.
    units: BTreeMap<String, SeenUnit>,
    unannounced: Vec<Unannounced>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SeenUnit {
    invocation_id: String,
    /// Automatic restarts since it was started by hand.
    restarts: u32,
}

/// A start that no operation of the agent caused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unannounced {
    /// `None`: the node itself.
    pub(crate) unit: Option<String>,
    pub(crate) at: Timestamp,
    /// systemd restarted it by itself.
    pub(crate) automatic: bool,
    pub(crate) before: String,
    pub(crate) after: String,
}

impl Seen {
    pub(super) fn unannounced(&self) -> &[Unannounced] {
        &self.unannounced
    }

    pub(super) fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The node runs in this boot, which began at `at`; `announced` tells whether the agent asked for the reboot. Returns the start
    /// that nobody announced, if it is one, and whether anything changed.
    pub(super) fn boot(&mut self, boot_id: &str, at: Timestamp, announced: bool) -> (Option<Unannounced>, bool) {
        if boot_id.is_empty() || self.boot_id == boot_id {
            return (None, false);
        }
        let before = std::mem::replace(&mut self.boot_id, boot_id.to_owned());
        self.units.clear();
        if announced || before.is_empty() {
            return (None, true);
        }
        let start = Unannounced { unit: None, at, automatic: false, before, after: boot_id.to_owned() };
        self.remember(start.clone());
        (Some(start), true)
    }

    /// A unit has been seen. `announced` tells whether an operation of the agent's may have started it since it was seen last. `now`
    /// is when, for a unit of which systemd does not tell since when it runs. As [`Seen::boot`].
    pub(super) fn unit(&mut self, unit: &Unit, now: Timestamp, announced: bool) -> (Option<Unannounced>, bool) {
        if unit.invocation_id.is_empty() {
            return (None, false);
        }
        let new = SeenUnit { invocation_id: unit.invocation_id.clone(), restarts: unit.restarts };
        let before = self.units.insert(unit.name.clone(), new.clone());
        let Some(before) = before else { return (None, true) };
        if before.invocation_id == new.invocation_id {
            return (None, before != new);
        }
        if announced {
            return (None, true);
        }
        let start = Unannounced {
            unit: Some(unit.name.clone()),
            at: unit.active_since.unwrap_or(now),
            automatic: new.restarts > before.restarts,
            before: before.invocation_id,
            after: new.invocation_id,
        };
        self.remember(start.clone());
        (Some(start), true)
    }

    fn remember(&mut self, start: Unannounced) {
        self.unannounced.push(start);
        let forgotten = self.unannounced.len().saturating_sub(REMEMBERED);
        self.unannounced.drain(..forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(invocation_id: &str, restarts: u32) -> Unit {
        let (name, invocation_id) = ("a.service".to_owned(), invocation_id.to_owned());
        Unit { name, invocation_id, restarts, ..Unit::default() }
    }

    fn told(seen: &mut Seen, unit: &Unit, announced: bool) -> Option<(String, bool)> {
        let (start, _) = seen.unit(unit, Timestamp::UNIX_EPOCH, announced);
        start.map(|start| (start.after, start.automatic))
    }

    #[test]
    fn only_a_start_that_no_operation_explains_is_told_and_one_by_systemd_itself_is_told_as_that() {
        let mut seen = Seen::default();
        for (id, restarts, announced, expected) in [
            ("i1", 0, false, None),
            ("i1", 0, false, None),
            ("i2", 0, true, None),
            ("i3", 0, false, Some(("i3".to_owned(), false))),
            ("i4", 1, false, Some(("i4".to_owned(), true))),
            ("", 0, false, None),
            ("i5", 0, false, Some(("i5".to_owned(), false))),
        ] {
            assert_eq!(told(&mut seen, &unit(id, restarts), announced), expected, "{id}");
        }
        assert_eq!(seen.unannounced().len(), 3);
    }

    #[test]
    fn after_a_reboot_no_unit_is_told_and_the_reboot_only_if_it_was_not_the_agents() {
        for announced in [false, true] {
            let mut seen = Seen::default();
            assert_eq!(seen.boot("b1", Timestamp::UNIX_EPOCH, false), (None, true), "the agent is new here");
            told(&mut seen, &unit("i1", 0), false);
            let (start, _) = seen.boot("b2", Timestamp::UNIX_EPOCH, announced);
            assert_eq!(start.is_none(), announced);
            assert_eq!(told(&mut seen, &unit("i2", 0), false), None);
            assert_eq!(seen.boot("b2", Timestamp::UNIX_EPOCH, false), (None, false));
        }
    }

    #[test]
    fn the_newest_are_remembered_and_no_more_than_so_many() {
        let mut seen = Seen::default();
        (0..100).for_each(|number| _ = told(&mut seen, &unit(&format!("i{number}"), 0), false));
        assert_eq!(seen.unannounced().len(), REMEMBERED);
        assert_eq!(seen.unannounced().last().unwrap().after, "i99");
    }
}
