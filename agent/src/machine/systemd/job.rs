//! A job in systemd's queue, and its end.

use futures::StreamExt as _;
use systemd_zbus::ManagerProxy;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// A job that systemd has, with a subscription to its end.
#[derive(Debug)]
pub(crate) struct Job {
    path: String,
    ends: Ends,
}

impl Job {
    /// `ends` must have subscribed before systemd had the job.
    pub(super) fn new(path: String, ends: Ends) -> Self {
        Self { path, ends }
    }

    /// The object path, which identifies the job while it exists.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Waits for the result: `done`, `failed`, `canceled`, `timeout`, `dependency`, `skipped`, … `None` if the connection is
    /// lost first.
    ///
    /// `done` means that the job has ended, not that the unit is healthy.
    ///
    /// systemd sends the result once, and not at all while it re-executes itself: a unit that has no such job any more tells the
    /// end just as well.
    pub(crate) async fn result(&mut self) -> Option<String> {
        while let Some(End { path, result, .. }) = self.ends.received.recv().await {
            if path == self.path {
                return Some(result);
            }
        }
        None
    }
}

/// The ends of the jobs of all units, those of others included.
#[derive(Debug)]
pub(crate) struct Jobs(pub(super) Ends);

impl Jobs {
    /// Waits until a job of one of these units has ended. False if the connection is lost first.
    pub(crate) async fn ended(&mut self, of: impl Fn(&str) -> bool) -> bool {
        while let Some(End { unit, .. }) = self.0.received.recv().await {
            if of(&unit) {
                return true;
            }
        }
        false
    }
}

#[derive(Debug)]
struct End {
    path: String,
    unit: String,
    result: String,
}

/// The ends of all jobs since the subscription.
///
/// A separate task receives them, because zbus queues 64 signals per receiver and then stops reading from the bus, including
/// the reply that the receiver waits for. While a machine boots, more jobs than that end at once.
#[derive(Debug)]
pub(super) struct Ends {
    received: mpsc::UnboundedReceiver<End>,
    _listener: AbortOnDropHandle<()>,
}

impl Ends {
    pub(super) async fn of_jobs(manager: &ManagerProxy<'_>) -> zbus::Result<Self> {
        let mut signals = manager.receive_job_removed().await?;
        let (sender, received) = mpsc::unbounded_channel();
        let listener = tokio::spawn(async move {
            while let Some(signal) = signals.next().await {
                let Ok(removed) = signal.args() else { continue };
                let (unit, result) = (removed.unit().to_string(), removed.result().to_string());
                let end = End { path: removed.job().to_string(), unit, result };
                // Nobody waits for them anymore.
                if sender.send(end).is_err() {
                    return;
                }
            }
        });
        Ok(Self { received, _listener: AbortOnDropHandle::new(listener) })
    }
}
