//! A moment by both clocks of the machine: the wall clock, which is sometimes wrong, and the time since the boot began, which
//! ends with the boot.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use usher_common::clock;

use crate::machine::Machine;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    at: Timestamp,
    /// Empty if it is unknown.
    boot_id: String,
    /// `None` where the kernel does not tell it.
    uptime: Option<SignedDuration>,
}

impl Moment {
    pub(crate) fn now(machine: &Machine) -> Self {
        Self { at: clock::now(), boot_id: machine.boot_id().unwrap_or_default(), uptime: machine.uptime() }
    }

    /// A moment of which only the wall clock is known.
    pub(crate) fn by_the_clock(at: Timestamp) -> Self {
        Self { at, boot_id: String::new(), uptime: None }
    }

    /// When it was by the wall clock.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// How long before `now` it was: within one boot by the boot's own time, otherwise by the wall clock. `None` if it lies ahead
    /// of `now`, so one of the two clocks was wrong.
    pub(crate) fn age(&self, now: &Self) -> Option<SignedDuration> {
        let age = match (self.uptime, now.uptime) {
            (Some(then), Some(now_up)) if !self.boot_id.is_empty() && self.boot_id == now.boot_id => {
                now_up.checked_sub(then)?
            }
            _ => now.at.duration_since(self.at),
        };
        (!age.is_negative()).then_some(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: i64, boot_id: &str, uptime: Option<i64>) -> Moment {
        let at = Timestamp::from_second(at).unwrap();
        Moment { at, boot_id: boot_id.to_owned(), uptime: uptime.map(SignedDuration::from_secs) }
    }

    #[test]
    fn within_one_boot_no_change_of_the_clock_moves_an_age() {
        let then = moment(1_000_000, "boot-1", Some(100));
        for clock in [0, 1_000_060, 9_000_000] {
            assert_eq!(then.age(&moment(clock, "boot-1", Some(160))), Some(SignedDuration::from_secs(60)));
        }
    }

    #[test]
    fn across_boots_the_clock_tells_the_age_and_one_that_was_wrong_is_noticed() {
        let then = moment(1_000_000, "boot-1", Some(100));
        assert_eq!(then.age(&moment(1_000_060, "boot-2", Some(5))), Some(SignedDuration::from_secs(60)));
        assert_eq!(then.age(&moment(999_999, "boot-2", Some(5))), None);
        // Without the boot's own time, or without its id, there is only the clock.
        assert_eq!(then.age(&moment(1_000_060, "boot-1", None)), Some(SignedDuration::from_secs(60)));
        assert_eq!(moment(7, "", Some(1)).age(&moment(9, "", Some(1))), Some(SignedDuration::from_secs(2)));
    }
}
