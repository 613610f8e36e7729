//! A job in systemd's queue, and its end.

use futures::StreamExt as _;
use systemd_zbus::ManagerProxy;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Unit;

/// A job that systemd has, with a subscription to its end.
#[derive(Debug)]
pub(crate) struct Job {
    path: String,
    /// systemd's own name of it.
    unit: String,
    ends: Ends,
}

impl Job {
    /// `ends` must have subscribed before systemd had the job.
    pub(super) fn new(path: String, unit: &Unit, ends: Ends) -> Self {
        let unit = unit.alias_of().unwrap_or(&unit.name).to_owned();
        Self { path, unit, ends }
    }

    /// The object path, which identifies the job while it exists. A systemd that begins anew, as after a soft reboot, gives it to
    /// another one.
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
        while let Some(End { path, unit, result }) = self.ends.received.recv().await {
            if path == self.path && unit == self.unit {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_another_units_job_under_the_same_path_is_not_that_of_the_job() {
        let (sender, received) = mpsc::unbounded_channel();
        let ends = Ends { received, _listener: AbortOnDropHandle::new(tokio::spawn(async {})) };
        let (name, id) = ("alias.service".to_owned(), "a.service".to_owned());
        let mut job = Job::new("/job/7".to_owned(), &Unit { name, id, ..Unit::default() }, ends);
        for (path, unit, result) in
            [("/job/7", "b.service", "failed"), ("/job/8", "a.service", "canceled"), ("/job/7", "a.service", "done")]
        {
            let end = End { path: path.to_owned(), unit: unit.to_owned(), result: result.to_owned() };
            sender.send(end).unwrap();
        }
        assert_eq!(job.result().await.as_deref(), Some("done"));
    }
}
