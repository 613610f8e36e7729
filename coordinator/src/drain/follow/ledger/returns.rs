//! Pods that come back to the node that they are to leave.
//!
//! A scheduler with a stale cache may bind a successor after the cordon, once. A controller whose pods tolerate the cordon brings them back
//! each time, and evicting them would go on until the deadline.

use jiff::Timestamp;

use super::{Entry, Ledger};
use crate::drain::{report::MovedPod, select::PodFacts};

/// After this number of returns a pod is not evicted again.
const TIMES: usize = 3;

/// The pods of one controller on the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Returns {
    /// Those that were there before one of them was told to go.
    at_first: usize,
    /// Those that came after that.
    came_back: usize,
}

impl Returns {
    /// How often one of them at least has come back, if the successors are shared out as evenly as can be.
    fn times(self) -> usize {
        self.came_back.div_ceil(self.at_first.max(1))
    }
}

impl Ledger {
    /// Counts a pod that was not known before. Gives why it must not be evicted again, if it has come back often enough.
    pub(super) fn count_return(&mut self, pod: &PodFacts) -> Option<String> {
        let owner = pod.owner.as_ref()?;
        let first_told = self.first_told(&owner.uid);
        let came_back = first_told.is_some_and(|told| pod.created.is_none_or(|created| created >= told));
        let returns = self.returns.entry(owner.uid.clone()).or_default();
        match came_back {
            true => returns.came_back += 1,
            false => returns.at_first += 1,
        }
        let times = returns.times();
        let why = match pod.tolerates_cordon {
            true => "it tolerates its cordon",
            false => "something binds it there in spite of its cordon",
        };
        (came_back && times >= TIMES).then(|| format!("comes back to the node: {why} ({times} times)"))
    }

    /// When a pod of this controller was first told to go, by the server's clock.
    fn first_told(&self, owner: &str) -> Option<Timestamp> {
        let moved =
            self.moved.iter().filter(|MovedPod { owner: by, .. }| by.as_ref().is_some_and(|by| by.uid == owner));
        let leaving =
            self.entries.values().filter(|Entry { facts, .. }| facts.owner.as_ref().is_some_and(|by| by.uid == owner));
        let leaving = leaving.filter_map(|entry| Some(entry.facts.deletion?.requested));
        moved.map(|moved| moved.asked.unwrap_or(Timestamp::MIN)).chain(leaving).min()
    }
}
