//! Where a switch stands, and what comes next: pure functions of the steps' states.

use serde::Serialize;

/// What a check said of a step, for one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "said", rename_all = "camelCase")]
pub enum Said {
    /// It is done.
    Done,
    /// It is not.
    NotDone,
    /// It gave no answer.
    Unknown {
        /// How it ended instead, in a few words.
        how: String,
    },
}

/// Which of two clusters is the active one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Position {
    /// Every step is done for it, and not every one for the other.
    Active {
        /// 0 or 1.
        at: usize,
    },
    /// Some steps are done for one, some for the other, or none: a switch was cut off.
    Between,
    /// A check gives no answer, or all say that they are done for both.
    Unclear,
}

/// Which one is active, from what the checks say of each step for the one and for the other.
pub fn position(for_each: [&[Said]; 2]) -> Position {
    let is_unknown = |said: &Said| matches!(said, Said::Unknown { .. });
    if for_each.iter().any(|all| all.iter().any(is_unknown)) {
        return Position::Unclear;
    }
    let is_active = for_each.map(|all| all.iter().all(|said| *said == Said::Done));
    match is_active {
        [true, true] => Position::Unclear,
        [true, false] => Position::Active { at: 0 },
        [false, true] => Position::Active { at: 1 },
        [false, false] => Position::Between,
    }
}

/// How far a step is within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Nobody has looked yet.
    Waiting,
    /// Its check said that it was done already: it is nobody's to take back.
    Found,
    /// This run brought it about.
    Applied,
    /// This run began it, and it does not have its effect.
    Failed,
    /// It was begun, and is taken back with proof.
    TakenBack,
    /// It was begun, and could not be taken back.
    Stays,
}

/// What a run does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look at this step, and do it if it is not done.
    Do(usize),
    /// Take this step back.
    TakeBack(usize),
    /// Nothing: the run is over.
    End,
}

/// What comes next. `stopped`: no step may begin any more, though none has failed.
///
/// Steps are done in their order. Once one has failed none begins, and what this run has begun is taken back, the last first.
pub fn next(states: &[State], stopped: bool) -> Next {
    let is_going_back = |state: &State| matches!(state, State::Failed | State::TakenBack | State::Stays);
    if stopped || states.iter().any(is_going_back) {
        let begun = states.iter().rposition(|state| matches!(state, State::Applied | State::Failed));
        return begun.map_or(Next::End, Next::TakeBack);
    }
    states.iter().position(|state| *state == State::Waiting).map_or(Next::End, Next::Do)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DONE: Said = Said::Done;
    const NOT: Said = Said::NotDone;

    #[test]
    fn the_active_cluster_is_the_one_for_which_all_steps_are_done() {
        let unknown = Said::Unknown { how: "exit code 2".to_owned() };
        for (one, other, expected) in [
            ([DONE, DONE], [NOT, NOT], Position::Active { at: 0 }),
            ([NOT, NOT], [DONE, DONE], Position::Active { at: 1 }),
            // Pooled with the old one not depooled yet.
            ([DONE, NOT], [DONE, NOT], Position::Between),
            ([DONE, NOT], [NOT, DONE], Position::Between),
            ([DONE, DONE], [DONE, DONE], Position::Unclear),
            ([DONE, DONE], [NOT, unknown], Position::Unclear),
        ] {
            assert_eq!(position([&one, &other]), expected, "{one:?} {other:?}");
        }
    }

    /// What the world answers to a step in one run.
    #[derive(Debug, Clone, Copy)]
    struct World {
        found: bool,
        applies: bool,
        can_be_taken_back: bool,
        /// The operator stops the run before this step.
        stops: bool,
    }

    fn world() -> impl Strategy<Value = Vec<World>> {
        let step = (any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.7), prop::bool::weighted(0.1));
        let step = step.prop_map(|(found, applies, can_be_taken_back, stops)| World {
            found,
            applies,
            can_be_taken_back,
            stops,
        });
        prop::collection::vec(step, 0..6)
    }

    /// Runs to the end; the steps that were begun and those that were taken back, each in its order.
    fn run(world: &[World]) -> (Vec<State>, Vec<usize>, Vec<usize>) {
        let (mut states, mut stopped) = (vec![State::Waiting; world.len()], false);
        let (mut begun, mut taken_back) = (Vec::new(), Vec::new());
        for _ in 0..=3 * world.len() {
            match next(&states, stopped) {
                Next::Do(at) if world[at].stops => stopped = true,
                Next::Do(at) if world[at].found => states[at] = State::Found,
                Next::Do(at) => {
                    begun.push(at);
                    states[at] = if world[at].applies { State::Applied } else { State::Failed };
                }
                Next::TakeBack(at) => {
                    taken_back.push(at);
                    states[at] = if world[at].can_be_taken_back { State::TakenBack } else { State::Stays };
                }
                Next::End => return (states, begun, taken_back),
            }
        }
        panic!("it does not end: {states:?}");
    }

    proptest! {
        #[test]
        fn every_run_ends_with_all_done_or_with_everything_that_it_began_taken_back_in_reverse(world in world()) {
            let (states, begun, taken_back) = run(&world);
            // Each step once, in order.
            prop_assert!(begun.is_sorted_by(|one, other| one < other));
            let broke = world.iter().any(|step| step.stops || (!step.found && !step.applies));
            if broke {
                prop_assert_eq!(&taken_back, &begun.iter().rev().copied().collect::<Vec<_>>());
                prop_assert!(!states.iter().any(|state| matches!(state, State::Applied | State::Failed)));
            } else {
                prop_assert!(taken_back.is_empty());
                prop_assert!(states.iter().all(|state| matches!(state, State::Found | State::Applied)));
            }
            // What was found done is never touched.
            prop_assert!(begun.iter().all(|at| !world[*at].found));
        }

        #[test]
        fn a_run_that_was_cut_off_anywhere_and_is_begun_again_does_each_step_once(
            steps in 0_usize..6, cut in 0_usize..6,
        ) {
            let mut done = vec![false; steps];
            let mut applied = Vec::new();
            for run in 0..2 {
                let mut states = vec![State::Waiting; steps];
                while let Next::Do(at) = next(&states, false) {
                    if run == 0 && at == cut {
                        break;
                    }
                    states[at] = if done[at] { State::Found } else { State::Applied };
                    if !done[at] {
                        applied.push(at);
                    }
                    done[at] = true;
                }
            }
            prop_assert_eq!(applied, (0..steps).collect::<Vec<_>>());
        }
    }
}
