//! Which turns may begin now, which wait, and why. Pure: one rule for one by one, for several drains side by side, and for
//! whatever policy comes next.

use serde::{Deserialize, Serialize};

/// How many turns may be under way together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// Turns that go on at a time; at least 1.
    pub at_a_time: usize,
    /// The preparing steps of all turns are done before the first turn goes on, so that no pod moves twice.
    pub prepare_all: bool,
}

impl Pace {
    pub const ONE_BY_ONE: Self = Self { at_a_time: 1, prepare_all: false };
}

/// Turns that are prepared at a time. Preparing is a few small requests.
const PREPARED_AT_A_TIME: usize = 8;

/// How far a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    Preparing,
    Prepared,
    UnderWay,
    /// Done, failed or taken back.
    Ended,
}

/// What may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Only the preparing steps.
    Preparation,
    /// All steps that are left.
    Turn,
}

/// Why a turn waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// As many as may be under way are.
    Slot,
    /// Others are not prepared yet.
    Preparation,
    /// Another machine of the control plane is under way.
    ControlPlane,
    /// The operation has stopped.
    Stopped,
}

/// A turn as far as the schedule has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub stage: Stage,
    pub control_plane: bool,
}

/// What may begin now and what waits, as indices of the slots, in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Next {
    pub begin: Vec<(usize, Begin)>,
    pub waiting: Vec<(usize, Wait)>,
}

/// Decides what to begin. `stopped` means that no further turn begins; those under way come to their end.
pub fn next(pace: Pace, slots: &[Slot], stopped: bool) -> Next {
    let count = |stage: Stage| slots.iter().filter(|slot| slot.stage == stage).count();
    let mut preparing = count(Stage::Preparing);
    let mut under_way = count(Stage::UnderWay);
    let mut control_plane = slots.iter().any(|slot| slot.control_plane && slot.stage == Stage::UnderWay);
    let all_prepared = count(Stage::Waiting) + preparing == 0;
    let mut next = Next::default();
    for (at, slot) in slots.iter().enumerate() {
        let is_prepared = match slot.stage {
            Stage::Waiting => false,
            Stage::Prepared => true,
            Stage::Preparing | Stage::UnderWay | Stage::Ended => continue,
        };
        let wait = if stopped {
            Some(Wait::Stopped)
        } else if pace.prepare_all && !is_prepared {
            (preparing >= PREPARED_AT_A_TIME).then_some(Wait::Slot)
        } else if pace.prepare_all && !all_prepared {
            Some(Wait::Preparation)
        } else if under_way >= pace.at_a_time.max(1) {
            Some(Wait::Slot)
        } else {
            (slot.control_plane && control_plane).then_some(Wait::ControlPlane)
        };
        match wait {
            Some(wait) => next.waiting.push((at, wait)),
            None if pace.prepare_all && !is_prepared => {
                preparing += 1;
                next.begin.push((at, Begin::Preparation));
            }
            None => {
                under_way += 1;
                control_plane |= slot.control_plane;
                next.begin.push((at, Begin::Turn));
            }
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begun(next: &Next, begin: Begin) -> Vec<usize> {
        next.begin.iter().filter(|(_, what)| *what == begin).map(|(at, _)| *at).collect()
    }

    #[test]
    fn one_by_one_begins_the_first_and_lets_the_others_wait() {
        let slots = [Slot { stage: Stage::Waiting, control_plane: false }; 3];
        let next = next(Pace::ONE_BY_ONE, &slots, false);
        assert_eq!(begun(&next, Begin::Turn), [0]);
        assert_eq!(next.waiting, [(1, Wait::Slot), (2, Wait::Slot)]);
    }

    #[test]
    fn nobody_goes_on_before_all_are_prepared() {
        let pace = Pace { at_a_time: 2, prepare_all: true };
        let slot = |stage| Slot { stage, control_plane: false };
        let slots = [slot(Stage::Prepared), slot(Stage::Preparing), slot(Stage::Waiting)];
        let first = next(pace, &slots, false);
        assert_eq!((begun(&first, Begin::Preparation), begun(&first, Begin::Turn)), (vec![2], vec![]));
        assert_eq!(first.waiting, [(0, Wait::Preparation)]);
        let slots = [slot(Stage::Prepared), slot(Stage::Prepared), slot(Stage::Prepared)];
        assert_eq!(begun(&next(pace, &slots, false), Begin::Turn), [0, 1]);
    }

    proptest! {
        /// However long turns take and whatever order they end in: never more than allowed at once, never two control
        /// planes, each turn once, none is begun after a stop, and it ends.
        #[test]
        fn every_schedule_keeps_its_bounds_and_ends(
            turns in prop::collection::vec(any::<bool>(), 1..20),
            at_a_time in 1..5usize,
            prepare_all in any::<bool>(),
            ends in prop::collection::vec(any::<prop::sample::Index>(), 60),
            stop_at in 0..80usize,
        ) {
            let pace = Pace { at_a_time, prepare_all };
            let mut slots: Vec<_> =
                turns.iter().map(|&control_plane| Slot { stage: Stage::Waiting, control_plane }).collect();
            let mut begun = vec![0; slots.len()];
            for round in 0.. {
                prop_assert!(round < 200, "it does not end");
                let stopped = round >= stop_at;
                let next = next(pace, &slots, stopped);
                prop_assert!(!stopped || next.begin.is_empty());
                for (at, what) in next.begin {
                    slots[at].stage = match what { Begin::Preparation => Stage::Preparing, Begin::Turn => Stage::UnderWay };
                    begun[at] += usize::from(what == Begin::Turn);
                }
                let under_way: Vec<_> = slots.iter().filter(|slot| slot.stage == Stage::UnderWay).collect();
                prop_assert!(under_way.len() <= at_a_time);
                prop_assert!(under_way.iter().filter(|slot| slot.control_plane).count() <= 1);
                let active: Vec<_> = (0..slots.len())
                    .filter(|&at| matches!(slots[at].stage, Stage::Preparing | Stage::UnderWay))
                    .collect();
                if active.is_empty() {
                    prop_assert!(stopped || slots.iter().all(|slot| slot.stage == Stage::Ended));
                    break;
                }
                let at = active[ends[round % ends.len()].index(active.len())];
                slots[at].stage = if slots[at].stage == Stage::Preparing { Stage::Prepared } else { Stage::Ended };
            }
            prop_assert!(begun.iter().all(|&times| times <= 1));
        }
    }
}
