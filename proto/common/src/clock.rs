//! The wall clock, asked in one place.
//!
//! tokio's time can be paused by a test, the machine's wall clock cannot: whatever compares the two, or writes a time into
//! the API, would see a clock that runs beside one that stands still. A test therefore lets the wall clock follow tokio's.

use std::cell::Cell;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

thread_local! {
    static STAND_IN: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
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
    async fn a_stand_in_stands_still_while_time_is_paused_and_jumps_with_it() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        follow_tokio(start);
        assert_eq!(now(), start);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(now(), start + SignedDuration::from_secs(90));
    }
}
