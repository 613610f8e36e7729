//! The dead man's switch: the agent itself starts a unit that it was told to stop for a while only, once that while is over and
//! nobody has started it.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::sleep;
use tracing::{info, warn};
use usher_common::chain;
use usher_proto::reason;

use super::{
    Operations,
    admit::Request,
    moment::Moment,
    record::{Change, Order},
    store::StartAgain,
};
use crate::caller::Caller;

/// Who starts it, in the place of a caller's certificate.
const AGENT: &str = "usher-agent";

/// How often the start is tried. What fails that often does not start for want of another try.
const ATTEMPTS: u32 = 5;

/// Between two attempts, counted from the beginning of the first.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(120);

/// How long to wait when another operation stands in the way, and when something else does.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
const OTHER_PAUSE: Duration = Duration::from_secs(10);

impl Operations {
    pub(super) async fn start_again_for_ever(self) {
        let stop = self.inner.stop.clone();
        stop.run_until_cancelled_owned(async move {
            loop {
                let next = self.inner.store.start_again(&Moment::now(&self.inner.machine));
                let changed = self.inner.stopped.notified();
                match next {
                    None => changed.await,
                    Some(again) if again.within.is_zero() => {
                        if let Err(pause) = self.start_again(&again).await {
                            sleep(pause).await;
                        }
                    }
                    Some(again) => tokio::select! {
                        biased;
                        () = changed => {}
                        () = sleep(again.within) => {}
                    },
                }
            }
        })
        .await;
    }

    /// Starts the unit, or finds that it runs; else says how long to wait before the next try.
    async fn start_again(&self, again: &StartAgain) -> Result<(), Duration> {
        let StartAgain { unit, stopped, .. } = again;
        // A stop that is still under way, or a start.
        if self.running().is_some() {
            return Err(BUSY_PAUSE);
        }
        match self.inner.machine.systemd.unit(unit).await {
            Ok(seen) if seen.is_active() => {
                info!(unit, operation = stopped.operation, "it runs again, and need not be started");
                return self.inner.store.runs_again(unit).await.map_err(|error| {
                    warn!(unit, "that it runs again could not be stored: {}", chain(&error));
                    OTHER_PAUSE
                });
            }
            Ok(_) => {}
            Err(error) => {
                warn!(unit, "it is to be started again, but systemd could not be asked: {}", chain(&error));
                return Err(OTHER_PAUSE);
            }
        }
        let reason = format!("operation {} stopped it for a while that is over now", stopped.operation);
        let attempt = stopped.next_attempt();
        let request = Request {
            id: format!("start-again.{}.{attempt}", stopped.sequence),
            change: Change::StartUnit { unit: unit.clone() },
            order: Order { epoch: self.epoch(), reason, requester: AGENT.to_owned(), ..Order::default() },
            caller: Caller::named([AGENT]),
            patience: None,
        };
        match self.submit(request).await {
            Ok(operation) => {
                warn!(unit, operation = operation.id, "nobody has started {unit} again, so the agent does");
                let next = (attempt < ATTEMPTS).then_some(AGAIN_AFTER);
                let stored = self.inner.store.attempted(unit, &Moment::now(&self.inner.machine), next).await;
                stored.map_err(|error| {
                    warn!(unit, "the attempt could not be stored: {}", chain(&error));
                    OTHER_PAUSE
                })
            }
            Err(refusal) if refusal.reason == reason::BUSY => Err(BUSY_PAUSE),
            Err(refusal) => {
                warn!(unit, "it is to be started again, but cannot be: {refusal}");
                Err(OTHER_PAUSE)
            }
        }
    }
}
