//! The reboots that the budget counts, in a file of their own: neither the retention of operations nor a wrong clock makes room
//! for another.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::super::{
    moment::Moment,
    record::{Change, FailureKind, Operation, Progress, State},
};

/// The period of the budget.
const PERIOD: SignedDuration = SignedDuration::from_hours(24);

/// How many reboots are remembered. More than any budget that still is one.
const REMEMBERED: usize = 256;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reboots {
    /// Oldest first.
    reboots: Vec<Reboot>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reboot {
    /// The operation's id.
    operation: String,
    /// When login1 was asked; once the operation has ended, when that was, so that the new boot's own time measures its age.
    at: Moment,
}

impl Reboots {
    /// Takes note of what an operation has come to, and returns whether that changed anything. A reboot counts from before login1
    /// is asked, and stops to count only if login1 refused it, or if it was not asked after all.
    pub(super) fn update(&mut self, operation: &Operation, now: &Moment) -> bool {
        if !matches!(operation.change, Change::RebootNode { .. }) {
            return false;
        }
        let known = self.reboots.iter().position(|reboot| reboot.operation == operation.id);
        let refused = matches!(&operation.state, State::Failed(failure) if failure.kind == FailureKind::Refused);
        let counts = operation.progress == Progress::RebootAsked && !refused;
        match known {
            Some(known) if !counts => drop(self.reboots.remove(known)),
            Some(_) if operation.is_running() => return false,
            Some(known) => self.reboots[known].at = now.clone(),
            None if !counts => return false,
            None => self.reboots.push(Reboot { operation: operation.id.clone(), at: now.clone() }),
        }
        let forgotten = self.reboots.len().saturating_sub(REMEMBERED);
        self.reboots.drain(..forgotten);
        true
    }

    /// How many of them count: those of the last 24 hours, and those that lie ahead, for then a clock was wrong.
    pub(super) fn used(&self, now: &Moment) -> usize {
        self.reboots.iter().filter(|reboot| reboot.at.age(now).is_none_or(|age| age < PERIOD)).count()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{
        super::super::record::{Failure, Order},
        *,
    };

    fn at(hours: i64) -> Moment {
        Moment::by_the_clock(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(480_000 + hours))
    }

    fn asked(id: &str) -> Operation {
        let change = Change::RebootNode { expected_boot_id: "b".into(), override_blockers: Default::default() };
        let mut operation = Operation::new(id.into(), change, Order::default(), Vec::new(), "b".into());
        operation.progress = Progress::RebootAsked;
        operation
    }

    #[test]
    fn reboots_of_the_last_day_and_of_the_future_count_and_those_that_login1_refused_do_not() {
        let mut reboots = Reboots::default();
        for (id, hours) in [("old", -25), ("new", -23), ("ahead", 30)] {
            assert!(reboots.update(&asked(id), &at(hours)));
            assert!(!reboots.update(&asked(id), &at(hours)), "asked once, counted once");
        }
        assert_eq!(reboots.used(&at(0)), 2);

        let ended = |id: &str, kind| {
            let mut operation = asked(id);
            operation.fail(Failure { kind, message: String::new(), journal: Vec::new() });
            operation
        };
        assert!(reboots.update(&ended("new", FailureKind::Systemd), &at(0)));
        assert_eq!(reboots.used(&at(0)), 2, "what became of it is unknown");
        assert!(reboots.update(&ended("new", FailureKind::Refused), &at(0)));
        assert_eq!(reboots.used(&at(0)), 1);
        assert!(!reboots.update(&ended("never asked", FailureKind::Refused), &at(0)));
    }

    #[test]
    fn a_reboot_that_was_not_asked_for_yet_does_not_count() {
        let mut accepted = asked("a");
        accepted.progress = Progress::Accepted;
        assert!(!Reboots::default().update(&accepted, &at(0)));
        let mut reboots = Reboots::default();
        assert!(reboots.update(&asked("a"), &at(0)));
        assert!(reboots.update(&accepted, &at(0)), "the last look found that it must not be");
        assert_eq!(reboots.used(&at(0)), 0);
    }
}
