//! When a drain is given up.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// The end of a drain's time. Time in which pods wait for budgets that nobody refills is not held against them, up to as long
/// again as the drain may take.
#[derive(Debug)]
pub(super) struct Deadline {
    at: watch::Sender<Instant>,
    latest: Instant,
    /// Until when the time without a leader has been made good, while there is none.
    unled: Option<Instant>,
}

/// Waits for the deadline, wherever it is moved to.
#[derive(Debug)]
pub(super) struct Passing(watch::Receiver<Instant>);

impl Deadline {
    pub(super) fn after(timeout: Duration, now: Instant) -> (Self, Passing) {
        let (at, passing) = watch::channel(now + timeout);
        (Self { at, latest: now + 2 * timeout, unled: None }, Passing(passing))
    }

    /// Budgets are given their room back, or nobody is there to do it.
    pub(super) fn refilled(&mut self, refilled: bool, now: Instant) {
        let lost = self.unled.map(|since| now - since).unwrap_or_default();
        self.unled = (!refilled).then_some(now);
        if !lost.is_zero() {
            let latest = self.latest;
            self.at.send_modify(|at| *at = (*at + lost).min(latest));
        }
    }
}

impl Passing {
    /// Returns when the deadline has passed.
    pub(super) async fn passed(mut self) {
        loop {
            let at = *self.0.borrow_and_update();
            match timeout_at(at, self.0.changed()).await {
                Ok(Ok(())) => {}
                // It is not moved any more.
                Ok(Err(_)) => return tokio::time::sleep_until(at).await,
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn time_without_a_leader_is_made_good_up_to_as_long_again() {
        for (unled, expected) in [(0, 10), (4, 14), (60, 20)] {
            let start = Instant::now();
            let (mut deadline, passing) = Deadline::after(10 * SECOND, start);
            let passed = tokio::spawn(async move {
                passing.passed().await;
                start.elapsed()
            });
            for second in 0..=unled {
                deadline.refilled(second == unled, start + second * SECOND);
            }
            assert_eq!(passed.await.unwrap(), expected * SECOND, "{unled} s without a leader");
        }
    }
}
