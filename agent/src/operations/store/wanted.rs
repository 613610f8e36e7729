//! Restarts that somebody on the node wants, until their unit has been started anew.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many requests for a unit are kept besides the first one: the newest.
const NEWEST_KEPT: usize = 7;

/// All of them. There are no more units than the configuration names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WantedRestarts {
    units: BTreeMap<String, Wanted>,
}

/// The requests for one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Tells these requests from earlier and later ones for the unit.
    pub(crate) number: u64,
    /// The unit's when the first request came.
    pub(crate) invocation_id: String,
    /// The boot in which it came.
    boot_id: String,
    /// The first one, and the newest.
    pub(crate) requests: Vec<Asked>,
    /// How many came in between that are not kept.
    #[serde(default)]
    pub(crate) more: u32,
    /// The agent is to restart the unit itself.
    #[serde(default)]
    pub(crate) at_once: bool,
    /// It has begun to.
    #[serde(default)]
    begun: bool,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) at: Timestamp,
    pub(crate) requester: String,
    pub(crate) reason: String,
}

/// A request as it comes in.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) unit: String,
    /// What the unit runs as now.
    pub(crate) invocation_id: String,
    pub(crate) boot_id: String,
    pub(crate) at_once: bool,
    pub(crate) asked: Asked,
}

impl WantedRestarts {
    pub(super) fn get(&self, unit: &str) -> Option<&Wanted> {
        self.units.get(unit)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Wanted)> {
        self.units.iter()
    }

    /// Adds a request. `number` is for the first one of its unit.
    pub(super) fn ask(&mut self, ask: Ask, number: u64) {
        let Ask { unit, invocation_id, boot_id, at_once, asked } = ask;
        let same_start =
            |wanted: &&mut Wanted| wanted.invocation_id == invocation_id && wanted.boot_id == boot_id && !wanted.begun;
        if let Some(wanted) = self.units.get_mut(&unit).filter(same_start) {
            wanted.join(asked, at_once);
            return;
        }
        let requests = vec![asked];
        let wanted = Wanted { number, invocation_id, boot_id, requests, more: 0, at_once, begun: false };
        self.units.insert(unit, wanted);
    }

    /// Takes back the requests for a unit, and says whether there were any.
    pub(super) fn withdraw(&mut self, unit: &str) -> bool {
        self.units.remove(unit).is_some()
    }

    /// The agent has begun the restart itself. It does not try twice: a restart that fails needs a person.
    pub(super) fn begun(&mut self, unit: &str, number: u64) -> bool {
        let wanted = self.units.get_mut(unit).filter(|wanted| wanted.number == number && !wanted.begun);
        wanted.map(|wanted| wanted.begun = true).is_some()
    }

    /// The requests whose restart the agent is to begin.
    pub(super) fn due(&self) -> impl Iterator<Item = (&String, &Wanted)> {
        self.units.iter().filter(|(_, wanted)| wanted.at_once && !wanted.begun)
    }

    /// A unit has been seen to run as `invocation_id` in this boot; that is empty if it has not been started yet. Whether that
    /// settles a request.
    pub(super) fn seen(&mut self, unit: &str, invocation_id: &str, boot_id: &str) -> bool {
        let is_settled = |wanted: &Wanted| {
            // After a reboot whatever starts reads what has changed.
            wanted.boot_id != boot_id || (!invocation_id.is_empty() && wanted.invocation_id != invocation_id)
        };
        self.units.get(unit).is_some_and(is_settled) && self.withdraw(unit)
    }

    /// Forgets the units that the configuration does not name any more.
    pub(super) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.units.retain(|unit, _| is_known(unit));
    }
}

impl Wanted {
    fn join(&mut self, asked: Asked, at_once: bool) {
        self.at_once |= at_once;
        let same = |known: &Asked| known.requester == asked.requester && known.reason == asked.reason;
        if self.requests.iter().any(same) {
            return;
        }
        self.requests.push(asked);
        if self.requests.len() > 1 + NEWEST_KEPT {
            self.requests.remove(1);
            self.more = self.more.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "a.service";

    fn ask(invocation_id: &str, reason: &str) -> Ask {
        let asked = Asked { at: Timestamp::UNIX_EPOCH, requester: "root@cp1".to_owned(), reason: reason.to_owned() };
        let (unit, boot_id) = (UNIT.to_owned(), "boot-1".to_owned());
        Ask { unit, invocation_id: invocation_id.to_owned(), boot_id, at_once: false, asked }
    }

    fn reasons(wanted: &WantedRestarts) -> Vec<&str> {
        let requests = wanted.get(UNIT).map(|wanted| wanted.requests.as_slice()).unwrap_or_default();
        requests.iter().map(|asked| asked.reason.as_str()).collect()
    }

    #[test]
    fn another_invocation_settles_a_request_and_so_does_another_boot() {
        for (seen, boot, settled) in
            [("i1", "boot-1", false), ("", "boot-1", false), ("i2", "boot-1", true), ("", "boot-2", true)]
        {
            let mut wanted = WantedRestarts::default();
            wanted.ask(ask("i1", "new certificate"), 1);
            assert_eq!(wanted.seen(UNIT, seen, boot), settled, "{seen:?} {boot}");
            assert_eq!(wanted.get(UNIT).is_none(), settled);
        }
    }

    #[test]
    fn requests_for_one_start_join_and_the_same_one_is_listed_once() {
        let mut wanted = WantedRestarts::default();
        for reason in ["new certificate", "audit policy", "new certificate"] {
            wanted.ask(ask("i1", reason), 1);
        }
        assert_eq!(reasons(&wanted), ["new certificate", "audit policy"]);
        wanted.ask(ask("i2", "later"), 2);
        assert_eq!(reasons(&wanted), ["later"], "the unit was restarted in between");
        assert_eq!(wanted.get(UNIT).unwrap().number, 2);
    }

    #[test]
    fn however_many_there_are_the_first_one_and_the_newest_are_kept() {
        let mut wanted = WantedRestarts::default();
        for number in 0..50 {
            wanted.ask(ask("i1", &format!("reason {number}")), 1);
        }
        assert_eq!(reasons(&wanted).len(), 1 + NEWEST_KEPT);
        assert_eq!((reasons(&wanted)[0], *reasons(&wanted).last().unwrap()), ("reason 0", "reason 49"));
        assert_eq!(wanted.get(UNIT).unwrap().more, 42);
    }

    #[test]
    fn a_restart_is_begun_once_and_a_request_that_comes_after_that_is_another() {
        let mut wanted = WantedRestarts::default();
        wanted.ask(Ask { at_once: true, ..ask("i1", "new certificate") }, 1);
        assert_eq!(wanted.due().count(), 1);
        assert!(!wanted.begun(UNIT, 7), "of other requests");
        assert!(wanted.begun(UNIT, 1) && wanted.due().count() == 0);
        wanted.ask(Ask { at_once: true, ..ask("i1", "new certificate") }, 2);
        assert_eq!(wanted.due().count(), 1);
    }
}
