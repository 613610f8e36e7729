//! The units that the agent itself stopped last, and when it is to start them again.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::super::{
    moment::Moment,
    record::{Change, Operation, Progress, State},
};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoppedUnits {
    units: BTreeMap<String, Stopped>,
}

/// A unit whose last operation through this agent was a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stopped {
    /// The operation that stopped it.
    pub(crate) operation: String,
    pub(crate) sequence: u64,
    /// When that was accepted; once it has ended, when that was.
    since: Moment,
    /// How long after it the agent starts the unit again by itself.
    start_again_after: Option<SignedDuration>,
    /// How often it has tried to.
    #[serde(default)]
    attempts: u32,
}

impl Stopped {
    /// The number of the next try to start the unit again, from 1. One that is damaged stays the highest.
    pub(crate) fn next_attempt(&self) -> u32 {
        self.attempts.saturating_add(1)
    }
}

/// A unit that the agent is to start again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartAgain {
    pub(crate) unit: String,
    pub(crate) stopped: Stopped,
    /// How long from now; zero if it is due.
    pub(crate) within: Duration,
}

impl StoppedUnits {
    pub(crate) fn contains(&self, unit: &str) -> bool {
        self.units.contains_key(unit)
    }

    /// Takes note of what an operation has come to, and returns whether that changed anything.
    pub(super) fn update(&mut self, operation: &Operation, now: &Moment) -> bool {
        match (&operation.change, &operation.state) {
            // Before systemd is asked: an agent that ends in between must know it.
            (Change::StopUnit { unit, start_again_after, .. }, State::Running)
                if operation.progress == Progress::Accepted =>
            {
                let (start_again_after, since) = (*start_again_after, now.clone());
                let (operation, sequence) = (operation.id.clone(), operation.sequence);
                let stopped = Stopped { operation, sequence, since, start_again_after, attempts: 0 };
                self.units.insert(unit.clone(), stopped);
                true
            }
            // Whatever it came to: a unit that runs needs no start, which is found out when it is due.
            (Change::StopUnit { unit, .. }, State::Succeeded | State::Failed(_)) => {
                let ended = self.units.get_mut(unit).filter(|stopped| stopped.sequence == operation.sequence);
                ended.map(|stopped| stopped.since = now.clone()).is_some()
            }
            (Change::StartUnit { unit } | Change::RestartUnit { unit, .. }, State::Succeeded) => self.forget(unit),
            _ => false,
        }
    }

    /// The unit has been seen to run.
    pub(super) fn forget(&mut self, unit: &str) -> bool {
        self.units.remove(unit).is_some()
    }

    /// An attempt to start the unit again has begun. `next` is how long after it the next one comes, should it fail.
    pub(super) fn attempted(&mut self, unit: &str, now: &Moment, next: Option<SignedDuration>) -> bool {
        let Some(stopped) = self.units.get_mut(unit) else { return false };
        stopped.attempts = stopped.next_attempt();
        stopped.since = now.clone();
        stopped.start_again_after = next;
        true
    }

    /// The unit that is to be started next.
    pub(super) fn next(&self, now: &Moment) -> Option<StartAgain> {
        let due = self.units.iter().filter_map(|(unit, stopped)| {
            let after = stopped.start_again_after?;
            // A stop that lies ahead was timed by a clock that was wrong: better now than never.
            let left = stopped.since.age(now).map_or(SignedDuration::ZERO, |passed| after.saturating_sub(passed));
            let within = Duration::try_from(left).unwrap_or(Duration::ZERO);
            Some(StartAgain { unit: unit.clone(), stopped: stopped.clone(), within })
        });
        due.min_by_key(|again| again.within)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{super::super::record::Order, *};

    const UNIT: &str = "a.service";

    fn at(seconds: i64) -> Moment {
        Moment::by_the_clock(Timestamp::from_second(1_700_000_000 + seconds).unwrap())
    }

    fn operation(sequence: u64, change: Change) -> Operation {
        let mut operation = Operation::new(format!("op{sequence}"), change, Order::default(), Vec::new(), "b".into());
        operation.sequence = sequence;
        operation
    }

    fn stop(sequence: u64, seconds: Option<i64>) -> Operation {
        let start_again_after = seconds.map(SignedDuration::from_secs);
        let expected_invocation_id = String::new();
        operation(sequence, Change::StopUnit { unit: UNIT.into(), expected_invocation_id, start_again_after })
    }

    #[test]
    fn a_number_of_attempts_that_is_damaged_stays_the_highest() {
        let mut units = StoppedUnits::default();
        units.update(&stop(1, Some(60)), &at(0));
        units.units.get_mut(UNIT).unwrap().attempts = u32::MAX;
        assert!(units.attempted(UNIT, &at(60), None));
        assert_eq!(units.units[UNIT].attempts, u32::MAX);
    }

    #[test]
    fn the_time_counts_from_the_end_of_the_stop_and_a_renewed_stop_replaces_it() {
        let mut units = StoppedUnits::default();
        let within = |units: &StoppedUnits, now| units.next(&at(now)).map(|again| again.within.as_secs());
        let mut first = stop(1, Some(60));
        assert!(units.update(&first, &at(0)));
        assert_eq!(within(&units, 50), Some(10));
        first.succeed();
        assert!(units.update(&first, &at(50)));
        assert_eq!(within(&units, 60), Some(50));

        assert!(units.update(&stop(2, Some(300)), &at(100)));
        assert_eq!(within(&units, 100), Some(300));
        assert!(!units.update(&first, &at(400)), "an older stop says nothing about the newer one");
        assert_eq!(within(&units, 1000), Some(0));

        assert!(units.update(&stop(3, None), &at(100)));
        assert_eq!(within(&units, 100), None, "it is to stay down");
        assert!(units.contains(UNIT));
    }

    #[test]
    fn a_start_that_failed_leaves_it_armed_and_one_that_succeeded_does_not() {
        let mut units = StoppedUnits::default();
        units.update(&stop(1, Some(60)), &at(0));
        let mut start = operation(2, Change::StartUnit { unit: UNIT.into() });
        assert!(!units.update(&start, &at(1)));
        let failure = super::super::super::record::Failure {
            kind: super::super::super::record::FailureKind::Job,
            message: String::new(),
            journal: Vec::new(),
        };
        start.fail(failure);
        assert!(!units.update(&start, &at(2)));
        assert!(units.next(&at(2)).is_some());
        start.succeed();
        assert!(units.update(&start, &at(3)));
        assert!(!units.contains(UNIT));
    }
}
