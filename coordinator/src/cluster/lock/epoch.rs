//! Which epoch the lock gets: one more than all that were seen, if they can be believed.
//!
//! Agents refuse calls under a lower epoch than they have seen. An agent that reports one that no lock ever had, by a mistake or
//! because it is in the wrong hands, would lead to the end of the numbers, where every coordinator has the same epoch and nothing
//! fences any more. So it is named instead of believed.

use std::collections::BTreeMap;

/// How far one agent may be above the lock and all other agents. As far as agents let a coordinator go above themselves.
const JUMP: u64 = 1000;

/// An epoch that no lock can have had, or that leaves no room for another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImplausibleEpoch {
    /// One agent is alone with it.
    #[error(
        "the agent on {machine} says that it has seen epoch {epoch}, but the lock and the other agents are at {others}: no lock was \
         taken that often"
    )]
    Agent {
        machine: String,
        epoch: u64,
        /// The highest of the lock's own and the other agents' epochs.
        others: u64,
    },
    /// `leaseTransitions` cannot be raised any more.
    #[error(
        "the lock's epochs are used up: leaseTransitions, or what the agents have seen of it, is at the highest int32"
    )]
    UsedUp,
}

/// The transitions of the lock for its next holder: `lease` are those before, `None` if there was no Lease, and `seen` what each
/// agent reports, by machine.
pub(super) fn next(lease: Option<i32>, seen: &BTreeMap<String, u64>) -> Result<i32, ImplausibleEpoch> {
    let lease = lease.and_then(|lease| u64::try_from(lease).ok());
    for (machine, &epoch) in seen {
        let others = seen.iter().filter(|(other, _)| *other != machine).map(|(_, epoch)| *epoch).chain(lease).max();
        // With nothing to compare it with, only the end of the numbers tells.
        let limit = others.map_or(u64::from(i32::MAX.unsigned_abs()), |others| others.saturating_add(JUMP));
        if epoch > limit {
            let others = others.unwrap_or_default();
            return Err(ImplausibleEpoch::Agent { machine: machine.clone(), epoch, others });
        }
    }
    let highest = seen.values().copied().chain(lease).max().unwrap_or_default();
    i32::try_from(highest).ok().and_then(|highest| highest.checked_add(1)).ok_or(ImplausibleEpoch::UsedUp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(epochs: &[u64]) -> BTreeMap<String, u64> {
        (1..).zip(epochs).map(|(number, epoch)| (format!("cp{number}"), *epoch)).collect()
    }

    #[test]
    fn the_next_epoch_is_above_all_that_were_seen() {
        for (lease, epochs, expected) in [
            (None, &[][..], 1),
            (Some(7), &[], 8),
            (Some(7), &[3, 9, 0], 10),
            // The Lease was deleted.
            (None, &[5000, 5001, 4990], 5002),
            (None, &[5000], 5001),
            // Nobody has called the agents for a while, or they are new.
            (Some(5000), &[0, 3], 5001),
            (Some(i32::MAX - 1), &[], i32::MAX),
        ] {
            assert_eq!(next(lease, &seen(epochs)), Ok(expected), "{lease:?} {epochs:?}");
        }
    }

    #[test]
    fn an_agent_that_is_alone_with_its_epoch_is_named() {
        for (lease, epochs, machine, others) in [
            (Some(7), &[8, u64::MAX, 7][..], "cp2", 8),
            (Some(7), &[1008], "cp1", 7),
            (None, &[5, 6, 1007], "cp3", 6),
            (None, &[u64::MAX], "cp1", 0),
        ] {
            let refused = next(lease, &seen(epochs)).unwrap_err();
            let epoch = *epochs.iter().max().unwrap();
            assert_eq!(refused, ImplausibleEpoch::Agent { machine: machine.to_owned(), epoch, others });
        }
    }

    #[test]
    fn the_last_epoch_is_not_given_twice() {
        assert_eq!(next(Some(i32::MAX), &seen(&[])), Err(ImplausibleEpoch::UsedUp));
        // Made up on every machine.
        assert_eq!(next(Some(7), &seen(&[u64::MAX, u64::MAX])), Err(ImplausibleEpoch::UsedUp));
    }
}
