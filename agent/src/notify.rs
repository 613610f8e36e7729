//! What systemd is told of the agent: that it is ready, what it does, and that it is alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

use crate::operations::Latest;

/// Between two signs of life where systemd wants none.
const NO_WATCHDOG: Duration = Duration::from_secs(3600);

/// Tells that the agent answers calls.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// Tells that the agent is on its way out.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Tells the state and feeds the watchdog, for ever. The tick is the runtime's own: one that hangs is noticed.
pub async fn keep_telling(mut latest: watch::Receiver<Latest>) {
    let watchdog = sd_notify::watchdog_enabled();
    let mut ticks = interval(watchdog.map_or(NO_WATCHDOG, |limit| limit / 3));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Kept from turn to turn: a fresh clone would forget what it has seen, and every turn would find a change.
    let mut operation = latest.borrow_and_update().clone();
    send(&[NotifyState::Status(&words(&mut operation))]);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if watchdog.is_some() {
                    send(&[NotifyState::Watchdog]);
                }
                continue;
            }
            Ok(()) = latest.changed() => operation = latest.borrow_and_update().clone(),
            () = changed(&mut operation) => {}
        }
        send(&[NotifyState::Status(&words(&mut operation))]);
    }
}

/// Waits until the operation changes; for ever if it has ended or there is none.
async fn changed(operation: &mut Latest) {
    if let Some(operation) = operation
        && operation.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn words(operation: &mut Latest) -> String {
    let Some(operation) = operation.as_mut().map(watch::Receiver::borrow_and_update) else { return "idle".to_owned() };
    match operation.steps.last() {
        Some(step) if operation.is_running() => {
            format!("{} ({}): {}", operation.change.words(), operation.id, step.name)
        }
        _ => format!("idle; last: {} ({})", operation.change.words(), operation.id),
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd could not be notified");
    }
}
