//! A job, from systemd's taking it to its end.

use futures::StreamExt as _;
use systemd_zbus::ManagerProxy;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// A job that systemd has taken and whose end is listened for.
#[derive(Debug)]
pub(crate) struct Job {
    path: String,
    ends: Ends,
}

impl Job {
    /// The job at this path; `ends` has been listening since before systemd had it.
    pub(super) fn new(path: String, ends: Ends) -> Self {
        Self { path, ends }
    }

    /// The job's object path, its name while it lives.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Waits for the job's end: `done`, `failed`, `canceled`, `timeout`, `dependency`, `skipped`, … `None` if the connection
    /// was lost first.
    ///
    /// `done` means that the job has ended, not that the unit is well.
    pub(crate) async fn result(mut self) -> Option<String> {
        while let Some(End { path, result }) = self.ends.told.recv().await {
            if path == self.path {
                return Some(result);
            }
        }
        None
    }
}

/// How a job of any unit ended.
#[derive(Debug)]
struct End {
    path: String,
    result: String,
}

/// The ends of all jobs since it began to listen.
///
/// A task of its own listens, because zbus holds 64 signals for a listener and then reads nothing from the bus any more, the
/// answer that is being waited for included. On a machine that boots, more jobs than that end in a moment.
#[derive(Debug)]
pub(super) struct Ends {
    told: mpsc::UnboundedReceiver<End>,
    _listener: AbortOnDropHandle<()>,
}

impl Ends {
    /// Begins to listen.
    pub(super) async fn of_jobs(manager: &ManagerProxy<'_>) -> zbus::Result<Self> {
        let mut signals = manager.receive_job_removed().await?;
        let (teller, told) = mpsc::unbounded_channel();
        let listener = tokio::spawn(async move {
            while let Some(signal) = signals.next().await {
                let Ok(removed) = signal.args() else { continue };
                let end = End { path: removed.job().to_string(), result: removed.result().to_string() };
                // Nobody waits any more.
                if teller.send(end).is_err() {
                    return;
                }
            }
        });
        Ok(Self { told, _listener: AbortOnDropHandle::new(listener) })
    }
}
