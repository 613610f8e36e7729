//! How many evictions may be in flight: as many as the server accepts without pushing back.
//!
//! One pace belongs to one client, however many drains share it. It widens while answers come, and narrows to half when the
//! server is busy or unreachable: additive increase and multiplicative decrease, as in TCP, because the server's other clients
//! are unknown here, too. Waiting requests are admitted one after another, so that a hundred nodes do not rush at a server that
//! comes back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::request::Outcome;
use crate::cluster::retry::jittered;

/// The width at first. An eviction costs an apiserver a few milliseconds and a few writes in etcd; this many are no burden,
/// and empty a full node (110 pods) in a second.
const FIRST: f64 = 16.0;

/// The greatest width.
const MOST: usize = usher_core::drain::MOST_IN_FLIGHT;

/// How long all requests wait when a server names no time.
const SHORTEST_HOLD: Duration = Duration::from_millis(250);

/// The bound that all drains of one client share. Clones share it, too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    bound: Mutex<Bound>,
    freed: Notify,
}

impl Pace {
    /// Waits until one more request may begin.
    pub(crate) async fn permit(&self) -> Permit {
        loop {
            let freed = self.0.freed.notified();
            let admission = self.bound().enter(Instant::now());
            match admission {
                Admission::Admitted { more } => {
                    if more {
                        self.0.freed.notify_one();
                    }
                    return Permit { pace: self.clone(), begun: Instant::now() };
                }
                Admission::Full => freed.await,
                Admission::Held(until) => {
                    let _wake_up = WakeUp(&self.0.freed);
                    sleep_until(until).await;
                }
            }
        }
    }

    /// Sends a request as soon as the bound admits it, and learns from the answer.
    pub(crate) async fn paced(&self, request: impl Future<Output = Outcome>) -> Outcome {
        self.permit().await.with(request).await
    }

    fn bound(&self) -> MutexGuard<'_, Bound> {
        // Every change of a bound is complete in itself, so a panicked thread left nothing half done.
        self.0.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wake-up of a waiter that then found the server busy. Whether it waits that out or goes away (its drain has ended), another
/// waiter gets it: with nobody in flight nobody else would wake one.
struct WakeUp<'a>(&'a Notify);

impl Drop for WakeUp<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The right to one request, returned on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    pace: Pace,
    begun: Instant,
}

impl Permit {
    /// Sends the request, and lets the bound learn from the answer.
    pub(crate) async fn with(self, request: impl Future<Output = Outcome>) -> Outcome {
        let outcome = request.await;
        match &outcome {
            Outcome::Retry { retry_after, .. } => self.turned_away(*retry_after),
            _ => self.answered(),
        }
        outcome
    }

    /// The server answered the request.
    fn answered(self) {
        self.pace.bound().widen();
    }

    /// The server turned the request away, and wants no more for `retry_after`.
    fn turned_away(self, retry_after: Duration) {
        let hold = jittered(retry_after.max(SHORTEST_HOLD));
        self.pace.bound().narrow(self.begun, Instant::now(), hold);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pace.bound().in_flight -= 1;
        self.pace.0.freed.notify_one();
    }
}

#[derive(Debug)]
struct Bound {
    width: f64,
    /// Below this width it widens by one with each answer.
    known_good: f64,
    in_flight: usize,
    /// When it last narrowed. Refusals of requests that began earlier say nothing new.
    narrowed: Option<Instant>,
    held_until: Option<Instant>,
}

impl Default for Bound {
    fn default() -> Self {
        Self { width: FIRST, known_good: MOST as f64, in_flight: 0, narrowed: None, held_until: None }
    }
}

#[derive(Debug, PartialEq)]
enum Admission {
    /// The request may begin; `more` may, too.
    Admitted {
        more: bool,
    },
    Full,
    Held(Instant),
}

impl Bound {
    fn enter(&mut self, now: Instant) -> Admission {
        if let Some(until) = self.held_until.filter(|until| *until > now) {
            return Admission::Held(until);
        }
        if !self.has_room() {
            return Admission::Full;
        }
        self.in_flight += 1;
        Admission::Admitted { more: self.has_room() }
    }

    fn has_room(&self) -> bool {
        ((self.in_flight + 1) as f64) <= self.width
    }

    fn widen(&mut self) {
        // A bound that was not reached proves nothing about a wider one.
        if ((self.in_flight + 1) as f64) < self.width {
            return;
        }
        let step = if self.width < self.known_good { 1.0 } else { 1.0 / self.width };
        self.width = (self.width + step).min(MOST as f64);
    }

    fn narrow(&mut self, begun: Instant, now: Instant, hold: Duration) {
        if self.narrowed.is_none_or(|narrowed| begun >= narrowed) {
            self.width = (self.width / 2.0).max(1.0);
            self.known_good = self.width;
            self.narrowed = Some(now);
        }
        let until = now + hold;
        self.held_until = Some(self.held_until.map_or(until, |before| before.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fill(bound: &mut Bound, now: Instant) -> usize {
        std::iter::repeat_with(|| bound.enter(now))
            .take_while(|admission| matches!(admission, Admission::Admitted { .. }))
            .count()
    }

    #[test]
    fn an_idle_server_is_given_more_with_each_answer_up_to_the_most() {
        let now = Instant::now();
        let mut bound = Bound::default();
        assert_eq!(fill(&mut bound, now), 16);
        for _ in 0..200 {
            bound.widen();
            bound.in_flight -= 1;
            fill(&mut bound, now);
        }
        assert_eq!(bound.in_flight, 64);
    }

    #[test]
    fn a_bound_that_is_not_reached_does_not_widen() {
        let mut bound = Bound::default();
        bound.enter(Instant::now());
        bound.widen();
        assert_eq!(bound.width, FIRST);
    }

    #[test]
    fn a_busy_server_is_left_alone_and_then_given_half() {
        let now = Instant::now();
        let mut bound = Bound::default();
        fill(&mut bound, now);
        // All sixteen were turned away at once: that is one refusal, not sixteen.
        for _ in 0..16 {
            bound.narrow(now, now, 3 * SECOND);
            bound.narrowed = Some(now + SECOND / 10);
            bound.in_flight -= 1;
        }
        assert_eq!(bound.enter(now + SECOND), Admission::Held(now + 3 * SECOND));
        assert_eq!(fill(&mut bound, now + 3 * SECOND), 8);
    }

    #[test]
    fn after_a_refusal_it_widens_slowly_and_never_narrows_to_nothing() {
        let now = Instant::now();
        let mut bound = Bound::default();
        for second in 0..9 {
            bound.narrow(now + second * SECOND, now + second * SECOND, SECOND);
        }
        assert_eq!(bound.width, 1.0);
        let later = now + 20 * SECOND;
        assert_eq!(fill(&mut bound, later), 1);
        bound.widen();
        bound.in_flight -= 1;
        assert_eq!(fill(&mut bound, later), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_request_begins_when_another_ends() {
        let pace = Pace::default();
        let mut inside = Vec::new();
        for _ in 0..16 {
            inside.push(pace.permit().await);
        }
        let waits: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let pace = pace.clone();
                    async move { pace.permit().await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(waits.iter().all(|task| !task.is_finished()));
        inside.truncate(13);
        for task in waits {
            assert!(tokio::time::timeout(SECOND, task).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_that_go_away_while_the_server_is_busy_leave_their_wake_ups_to_the_others() {
        let pace = Pace::default();
        let mut inside = Vec::new();
        for _ in 0..16 {
            inside.push(pace.permit().await);
        }
        let wait = || {
            tokio::spawn({
                let pace = pace.clone();
                async move { drop(pace.permit().await) }
            })
        };
        let leaving: Vec<_> = (0..16).map(|_| wait()).collect();
        tokio::task::yield_now().await;
        let staying: Vec<_> = (0..16).map(|_| wait()).collect();
        tokio::task::yield_now().await;
        inside.into_iter().for_each(|permit| permit.turned_away(3 * SECOND));
        tokio::time::sleep(SECOND).await;
        leaving.iter().for_each(tokio::task::JoinHandle::abort);
        for task in staying {
            assert!(tokio::time::timeout(10 * SECOND, task).await.is_ok());
        }
    }
}
