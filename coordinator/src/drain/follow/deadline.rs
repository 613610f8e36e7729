//! When a drain gives up.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

/// The end of a drain's time. Time in which pods wait for budgets that nobody replenishes is credited, up to as long again as
/// the drain may take.
#[derive(Debug)]
pub(crate) struct Deadline {
    /// None if it is beyond the runtime's clock: it never passes.
    at: watch::Sender<Option<Instant>>,
    latest: Option<Instant>,
    /// Leaderless time has been credited up to here; None while there is a leader.
    credited: Option<Instant>,
}

/// Waits for the deadline, wherever it moves.
#[derive(Debug)]
pub(crate) struct Expiry(watch::Receiver<Option<Instant>>);

impl Deadline {
    pub(crate) fn after(timeout: Duration, now: Instant) -> (Self, Expiry) {
        let (at, expiry) = watch::channel(now.checked_add(timeout));
        let latest = now.checked_add(timeout.saturating_mul(2));
        (Self { at, latest, credited: None }, Expiry(expiry))
    }

    /// Whether a kube-controller-manager is there to replenish budgets.
    pub(crate) fn set_replenished(&mut self, replenished: bool, now: Instant) {
        let lost = self.credited.map(|since| now - since).unwrap_or_default();
        self.credited = (!replenished).then_some(now);
        if !lost.is_zero() {
            let latest = self.latest;
            self.at.send_modify(|at| {
                let later = at.and_then(|at| at.checked_add(lost));
                *at = later.map(|later| latest.map_or(later, |latest| later.min(latest)));
            });
        }
    }
}

impl Expiry {
    /// Returns when the deadline has passed.
    pub(crate) async fn wait(mut self) {
        loop {
            let at = *self.0.borrow_and_update();
            let moved = match at {
                Some(at) => timeout_at(at, self.0.changed()).await,
                None => Ok(self.0.changed().await),
            };
            match (moved, at) {
                (Ok(Ok(())), _) => {}
                // The drain has ended, and the deadline moves no more.
                (Ok(Err(_)), Some(at)) => return sleep_until(at).await,
                (Ok(Err(_)), None) => return std::future::pending().await,
                (Err(_), _) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn time_without_a_leader_is_credited_up_to_as_long_again() {
        for (leaderless, expected) in [(0, 10), (4, 14), (60, 20)] {
            let start = Instant::now();
            let (mut deadline, expiry) = Deadline::after(10 * SECOND, start);
            let expired = tokio::spawn(async move {
                expiry.wait().await;
                start.elapsed()
            });
            for second in 0..=leaderless {
                deadline.set_replenished(second == leaderless, start + second * SECOND);
            }
            assert_eq!(expired.await.unwrap(), expected * SECOND, "{leaderless} s without a leader");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_beyond_all_clocks_never_expires() {
        for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::from_secs(9 << 60)] {
            let start = Instant::now();
            let (mut deadline, expiry) = Deadline::after(timeout, start);
            let expired = tokio::spawn(expiry.wait());
            for second in 0..10 {
                deadline.set_replenished(false, start + second * SECOND);
            }
            tokio::time::sleep(365 * 24 * 3600 * SECOND).await;
            assert!(!expired.is_finished(), "{timeout:?}");
            expired.abort();
        }
    }
}
