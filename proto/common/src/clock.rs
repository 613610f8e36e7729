//! The wall clock, asked in one place.
//!
//! tokio's time can be paused by a test, the machine's wall clock cannot: whatever compares the two, or writes a time into
//! the API, would see a clock that runs beside one that stands still. A test therefore lets the wall clock follow tokio's.

use std::{cell::Cell, time::Duration};

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

thread_local! {
    static STAND_IN: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
    static SLEPT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// A moment from which time is counted, that for which the machine sleeps included. [`Instant`] stands still meanwhile: a laptop whose
/// lid was closed for ten minutes would believe that ten seconds have passed.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    at: Instant,
    slept: Duration,
}

impl Moment {
    pub fn now() -> Self {
        Self { at: Instant::now(), slept: slept() }
    }

    pub fn elapsed(&self) -> Duration {
        self.at.elapsed() + slept().saturating_sub(self.slept)
    }
}

/// For how long this machine has slept since its boot: CLOCK_BOOTTIME goes on meanwhile and CLOCK_MONOTONIC does not (clock_gettime(2)).
/// Zero where the two cannot be read.
fn slept() -> Duration {
    if let Some(slept) = SLEPT.get() {
        return slept;
    }
    let read = |clock| clock_gettime(clock).map(Duration::from);
    match (read(ClockId::CLOCK_MONOTONIC), read(ClockId::CLOCK_BOOTTIME)) {
        // Read in this order: what passes between the two reads counts as sleep, which errs on the safe side by nanoseconds.
        (Ok(awake), Ok(all)) => all.saturating_sub(awake),
        _ => Duration::ZERO,
    }
}

/// From now on this thread's machine has slept for this time: for tests.
pub fn has_slept(time: Duration) {
    SLEPT.set(Some(time));
}

/// The time now, by this machine's clock.
pub fn now() -> Timestamp {
    match STAND_IN.get() {
        Some((start, begun)) => {
            let elapsed = SignedDuration::try_from(begun.elapsed()).unwrap_or(SignedDuration::MAX);
            start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
        }
        #[allow(clippy::disallowed_methods)] // the one place that asks the machine
        None => Timestamp::now(),
    }
}

/// From now on this thread's wall clock starts at `start` and follows tokio's time: for tests that pause it.
pub fn follow_tokio(start: Timestamp) {
    STAND_IN.set(Some((start, Instant::now())));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moment_counts_the_time_for_which_the_machine_sleeps() {
        has_slept(Duration::from_secs(60));
        let moment = Moment::now();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(moment.elapsed(), Duration::from_secs(5));
        has_slept(Duration::from_secs(660));
        assert_eq!(moment.elapsed(), Duration::from_secs(605));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stand_in_stands_still_while_time_is_paused_and_jumps_with_it() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        follow_tokio(start);
        assert_eq!(now(), start);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(now(), start + SignedDuration::from_secs(90));
    }
}
