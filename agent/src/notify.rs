//! Notifying systemd: that the agent is ready, what it does, and that it is alive.

use std::{path::Path, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

use crate::operations::Latest;

/// The tick without a watchdog, on which nothing is sent.
const NO_WATCHDOG: Duration = Duration::from_secs(3600);

/// Tells systemd that the agent answers calls.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// Tells systemd that the agent is up and waits for a file, and that it is alive. It counts as started: its start must hold
/// up neither a boot nor the installation of its package.
pub(crate) fn waiting(missing: &Path) {
    let status = format!("waiting for {}; nobody is served until it is there", missing.display());
    send(&[NotifyState::Ready, NotifyState::Status(&status), NotifyState::Watchdog]);
}

/// Tells systemd that the agent is stopping.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Tells systemd that the process goes on with another binary. Its main process stays the same, so systemd need not know; the
/// watchdog is fed for the time until the other one does it.
pub fn executing(version: &str) {
    let status = format!("executing usher-agent {version}");
    send(&[NotifyState::Status(&status), NotifyState::Watchdog]);
}

/// Keeps systemd's status line current and feeds the watchdog. Never returns. `closed` says why no caller is served, if none is.
/// Ticks are the runtime's own, so that systemd notices a runtime that hangs.
pub(crate) async fn report(latest: watch::Receiver<Latest>, closed: watch::Receiver<Option<String>>) {
    report_to(send, latest, closed, sd_notify::watchdog_enabled()).await;
}

async fn report_to(
    tell: impl Fn(&[NotifyState<'_>]),
    mut latest: watch::Receiver<Latest>,
    mut closed: watch::Receiver<Option<String>>,
    watchdog: Option<Duration>,
) {
    let mut ticks = interval(watchdog.map_or(NO_WATCHDOG, |limit| limit / 3));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Kept across iterations: a fresh clone would not know what was seen, and every iteration would find a change.
    let mut operation = latest.borrow_and_update().clone();
    tell(&[NotifyState::Status(&status(&mut operation, &mut closed))]);
    loop {
        tokio::select! {
            biased;
            // First: a burst of changes must not starve the watchdog.
            _ = ticks.tick() => {
                if watchdog.is_some() {
                    tell(&[NotifyState::Watchdog]);
                }
                continue;
            }
            Ok(()) = latest.changed() => operation = latest.borrow_and_update().clone(),
            () = changed(&mut operation) => {}
            Ok(()) = closed.changed() => {}
        }
        tell(&[NotifyState::Status(&status(&mut operation, &mut closed))]);
    }
}

/// Waits until the operation changes. Never returns if it has ended or there is none.
async fn changed(operation: &mut Latest) {
    if let Some(operation) = operation
        && operation.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn status(operation: &mut Latest, closed: &mut watch::Receiver<Option<String>>) -> String {
    // Both count as seen, whichever is told: an unseen change would be found again at once, for ever.
    let does = activity(operation);
    closed.borrow_and_update().clone().unwrap_or(does)
}

fn activity(operation: &mut Latest) -> String {
    let Some(operation) = operation.as_mut().map(watch::Receiver::borrow_and_update) else { return "idle".to_owned() };
    match operation.steps.last() {
        Some(step) if operation.is_running() => {
            format!("{} ({}): {}", operation.change.description(), operation.id, step.name)
        }
        _ => format!("idle; last: {} ({})", operation.change.description(), operation.id),
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd could not be notified");
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, pin::pin};

    use futures::poll;

    use super::*;
    use crate::operations::record::{Change, Operation, Order};

    /// A loop that finds a change in every iteration never yields; this stops it.
    const TOO_MANY: usize = 50;

    fn start(id: &str) -> watch::Sender<Operation> {
        let change = Change::StartUnit { unit: "a.service".to_owned() };
        watch::Sender::new(Operation::new(id.to_owned(), change, Order::default(), Vec::new(), String::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn each_change_is_told_once_and_nothing_is_told_between() {
        let told = RefCell::new(Vec::new());
        let tell = |state: &[NotifyState<'_>]| {
            told.borrow_mut().extend(state.iter().map(ToString::to_string));
            assert!(told.borrow().len() < TOO_MANY, "told in a loop: {:?}", &told.borrow()[..5]);
        };
        let (latest, closed) = (watch::Sender::new(None), watch::Sender::new(Some("there is no key".to_owned())));
        let mut telling = pin!(report_to(tell, latest.subscribe(), closed.subscribe(), None));
        // Polled twice, as a spurious wake-up does.
        let mut told_now = async || {
            for _ in 0..2 {
                assert!(poll!(&mut telling).is_pending());
            }
            told.take()
        };
        assert_eq!(told_now().await, ["STATUS=there is no key"]);
        closed.send_replace(None);
        assert_eq!(told_now().await, ["STATUS=idle"]);

        for id in ["first", "second"] {
            let operation = start(id);
            latest.send_replace(Some(operation.subscribe()));
            assert_eq!(told_now().await, [format!("STATUS=start a.service ({id}): accepted")]);
            operation.send_modify(|operation| operation.step("active", ""));
            assert_eq!(told_now().await, [format!("STATUS=start a.service ({id}): active")]);
            operation.send_modify(Operation::succeed);
            assert_eq!(told_now().await, [format!("STATUS=idle; last: start a.service ({id})")]);
            drop(operation);
            assert!(told_now().await.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_three_times_within_its_limit() {
        let told = RefCell::new(Vec::new());
        let tell = |state: &[NotifyState<'_>]| told.borrow_mut().extend(state.iter().map(ToString::to_string));
        let (limit, latest) = (Duration::from_secs(60), watch::Sender::new(None));
        let telling = report_to(tell, latest.subscribe(), watch::Sender::new(None).subscribe(), Some(limit));
        let within = limit - Duration::from_secs(1);
        assert!(tokio::time::timeout(within, telling).await.is_err());
        assert_eq!(told.take(), ["STATUS=idle", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    }
}
