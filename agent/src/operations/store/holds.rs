//! Holds that somebody on the node has set through the agent, each in its owner's name and for its own time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::moment::Moment;

/// How many owners may hold the node at once.
pub(crate) const OWNERS: usize = 32;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holds {
    owners: BTreeMap<String, Held>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    reason: String,
    requester: String,
    since: Moment,
    /// `None`: until it is released.
    lasts: Option<SignedDuration>,
}

/// A hold in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedHold {
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) requester: String,
    pub(crate) since: Timestamp,
    pub(crate) until: Option<Timestamp>,
}

impl OwnedHold {
    /// The hold for people: `alice: disk is being copied (until 2026-03-01T03:00:00Z)`.
    pub(crate) fn text(&self) -> String {
        let Self { owner, reason, until, .. } = self;
        let until = until.map_or_else(|| "until it is released".to_owned(), |until| format!("until {until}"));
        format!("{owner}: {reason} ({until})")
    }
}

/// A hold as it comes in.
#[derive(Debug, Clone)]
pub(crate) struct NewHold {
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) requester: String,
    pub(crate) lasts: Option<SignedDuration>,
}

impl Held {
    /// One that lies ahead was set under a clock that was wrong: nobody knows when it ends, so it does not.
    fn is_over(&self, now: &Moment) -> bool {
        self.lasts.is_some_and(|lasts| self.since.age(now).is_some_and(|age| age >= lasts))
    }
}

impl Holds {
    /// Those in force, by owner.
    pub(super) fn in_force(&self, now: &Moment) -> Vec<OwnedHold> {
        let in_force = self.owners.iter().filter(|(_, held)| !held.is_over(now));
        in_force.map(|(owner, held)| owned(owner, held)).collect()
    }

    /// Sets an owner's hold in the place of the one before, and returns it. `None` if there is no room for another owner's.
    pub(super) fn set(&mut self, hold: NewHold, now: &Moment) -> Option<OwnedHold> {
        self.owners.retain(|_, held| !held.is_over(now));
        if self.owners.len() >= OWNERS && !self.owners.contains_key(&hold.owner) {
            return None;
        }
        let NewHold { owner, reason, requester, lasts } = hold;
        let held = Held { reason, requester, since: now.clone(), lasts };
        let set = owned(&owner, &held);
        self.owners.insert(owner, held);
        Some(set)
    }

    /// Ends an owner's hold, and says whether there was one in force.
    pub(super) fn release(&mut self, owner: &str, now: &Moment) -> bool {
        self.owners.retain(|_, held| !held.is_over(now));
        self.owners.remove(owner).is_some()
    }
}

fn owned(owner: &str, held: &Held) -> OwnedHold {
    let Held { reason, requester, since, lasts } = held.clone();
    let since = since.at();
    let until = lasts.and_then(|lasts| since.checked_add(lasts).ok());
    OwnedHold { owner: owner.to_owned(), reason, requester, since, until }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::by_the_clock(Timestamp::from_second(1_700_000_000 + seconds).unwrap())
    }

    fn hold(owner: &str, lasts: Option<i64>) -> NewHold {
        let (reason, requester) = ("disk".to_owned(), "root@cp1".to_owned());
        NewHold { owner: owner.to_owned(), reason, requester, lasts: lasts.map(SignedDuration::from_secs) }
    }

    fn owners(holds: &Holds, seconds: i64) -> Vec<String> {
        holds.in_force(&at(seconds)).into_iter().map(|hold| hold.owner).collect()
    }

    #[test]
    fn each_owner_has_one_hold_which_ends_at_its_time_or_by_its_owner() {
        let mut holds = Holds::default();
        holds.set(hold("alice", Some(60)), &at(0));
        holds.set(hold("puppet", None), &at(0));
        assert_eq!(owners(&holds, 59), ["alice", "puppet"]);
        assert_eq!(owners(&holds, 60), ["puppet"]);
        let renewed = holds.set(hold("alice", Some(60)), &at(50)).unwrap();
        assert_eq!(renewed.until, Some(at(110).at()));
        assert_eq!(owners(&holds, 100), ["alice", "puppet"]);
        assert!(holds.release("puppet", &at(100)) && !holds.release("puppet", &at(100)));
        assert!(!holds.release("alice", &at(200)), "it is over");
    }

    #[test]
    fn a_hold_that_lies_ahead_of_the_clock_does_not_end() {
        let mut holds = Holds::default();
        holds.set(hold("alice", Some(60)), &at(1_000_000));
        assert_eq!(owners(&holds, 0), ["alice"]);
    }

    #[test]
    fn only_so_many_owners_hold_a_node_and_those_whose_time_is_over_do_not_count() {
        let mut holds = Holds::default();
        for number in 0..OWNERS {
            assert!(holds.set(hold(&number.to_string(), Some(60)), &at(0)).is_some());
        }
        assert!(holds.set(hold("one more", None), &at(10)).is_none());
        assert!(holds.set(hold("7", None), &at(10)).is_some(), "his own");
        assert!(holds.set(hold("one more", None), &at(60)).is_some());
    }
}
