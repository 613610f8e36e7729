//! systemd's job on the unit: starting it, following it to its end, finding it again.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use usher_common::{chain, clock};

use super::{
    super::{
        expected,
        record::{Failure, FailureKind, Progress},
        run::{Outcome, failure},
    },
    RETRY_INTERVAL, UNREACHABLE_FOR, Work,
};
use crate::machine::{
    bus::BusError,
    systemd::{Job, JobType},
};

/// How often to look whether the job is still there. While systemd re-executes itself, as with an upgrade of its package, it ends
/// jobs without a signal.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long the signal may come after the job has gone.
const SIGNAL_WITHIN: Duration = Duration::from_secs(1);

/// Why it is unknown what became of a job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unknown {
    /// systemd was asked, and its reply was lost.
    AnswerLost { asked: Instant },
    /// The agent was restarted before it had recorded the job.
    Restarted,
    /// Jobs end with the boot, whether they were carried out or not.
    Rebooted,
}

impl Unknown {
    /// The failure if the unit shows that nothing came of the job.
    fn failure(self) -> (FailureKind, &'static str) {
        match self {
            Self::AnswerLost { .. } => (FailureKind::Systemd, "systemd's answer was lost, and it has no job"),
            Self::Restarted => (FailureKind::Interrupted, "interrupted before systemd had the job: nothing happened"),
            Self::Rebooted => (FailureKind::Interrupted, "interrupted by a reboot of the node, ask again"),
        }
    }
}

impl Work<'_> {
    /// Starts the job and follows it.
    pub(super) async fn start_job(&self) -> Outcome {
        let (asked, answer, old_unit_file) = self.ask().await?;
        match answer {
            Ok(job) => {
                let message = if old_unit_file {
                    "systemd has taken the job, by the unit file as it was before it changed on disk: nobody has run \
                     systemctl daemon-reload since"
                } else {
                    "systemd has taken the job"
                };
                self.record_job(&job, message).await;
                self.follow(job, asked).await
            }
            Err(error) if error.outcome_unknown() => {
                let message = format!("systemd's answer was lost ({}); looking at the unit", chain(&error));
                self.run.record(|operation| operation.step("job", message)).await;
                self.reconcile(Unknown::AnswerLost { asked }).await
            }
            Err(error @ BusError::Unreachable(_)) => Err(failure(FailureKind::Systemd, nothing_asked(&error))),
            Err(error) => {
                let message = format!("systemd did not take the job, and nothing happened: {}", chain(&error));
                Err(failure(FailureKind::Refused, message))
            }
        }
    }

    /// Looks at the unit once more and asks systemd for the job; when that was, what came of it, and whether systemd goes by an old
    /// unit file. Tries again while systemd cannot be reached: then nothing was asked.
    async fn ask(&self) -> Result<(Instant, Result<Job, BusError>, bool), Failure> {
        let systemd = &self.run.machine.systemd;
        let deadline = Instant::now() + UNREACHABLE_FOR;
        loop {
            let unit = self.patiently(|| systemd.unit(&self.unit)).await;
            let unit = unit.map_err(|error| failure(FailureKind::Systemd, nothing_asked(&error)))?;
            let ours = self.run.store.has_stopped(&self.unit);
            if let Err(refusal) = expected::check(&self.change, &unit, ours) {
                return Err(failure(FailureKind::Refused, format!("nothing was done: {refusal}")));
            }
            let asked = Instant::now();
            match systemd.start_job(self.job_type, &unit).await {
                Err(BusError::Unreachable(_)) if Instant::now() < deadline => sleep(RETRY_INTERVAL).await,
                answer => return Ok((asked, answer, unit.needs_daemon_reload)),
            }
        }
    }

    /// Finds out from the unit whether systemd got the job.
    pub(super) async fn reconcile(&self, why: Unknown) -> Outcome {
        let asked = match why {
            Unknown::AnswerLost { asked } => Some(asked),
            Unknown::Restarted | Unknown::Rebooted => None,
        };
        if let Some(job) = self.current_job().await? {
            self.record_job(&job, "systemd has a job for the unit").await;
            return self.follow(job, asked.unwrap_or_else(Instant::now)).await;
        }
        let unit = self.read_unit().await?;
        // Even if it has failed since.
        let started = !unit.invocation_id.is_empty() && unit.invocation_id != self.before;
        let happened = match self.job_type {
            JobType::Restart => started,
            JobType::Stop => unit.is_down(),
            JobType::Start => started || unit.is_active(),
        };
        if happened {
            return self.verify(asked, "the job ended while nobody looked").await;
        }
        let (kind, message) = why.failure();
        Err(failure(kind, format!("{message}; {} is {}", self.unit, unit.state())))
    }

    /// Follows a job that was started earlier, or verifies its effect if it has ended. A job that has come after it, as in a soft
    /// reboot, is followed before: until it ends nobody can tell what came of the unit.
    pub(super) async fn resume_job(&self, path: &str, accepted: Option<Instant>) -> Outcome {
        match self.current_job().await? {
            Some(job) if job.path() == path => self.follow(job, accepted.unwrap_or_else(Instant::now)).await,
            Some(other) => {
                self.record_job(&other, "the job ended while nobody looked, and systemd has another one for the unit")
                    .await;
                self.follow(other, Instant::now()).await
            }
            None => self.verify(accepted, "the job ended while nobody looked").await,
        }
    }

    async fn follow(&self, mut job: Job, accepted: Instant) -> Outcome {
        let limit = self.policy.job_timeout;
        let path = job.path().to_owned();
        loop {
            let left = (accepted + limit).saturating_duration_since(Instant::now());
            let ending = match timeout(left.min(LOOK_EVERY), job.result()).await {
                Ok(Some(result)) if result == "done" => {
                    return self.verify(Some(accepted), "systemd's job is done").await;
                }
                Ok(Some(result)) => format!("systemd's job ended with {result:?}"),
                // The bus went away, and the signal with it, but not the job.
                Ok(None) => match self.current_job().await? {
                    Some(current) if current.path() == path => {
                        job = current;
                        continue;
                    }
                    _ => return self.verify(Some(accepted), "the job ended while D-Bus was away").await,
                },
                Err(_) if self.read_unit().await?.job.is_none_or(|current| current != path) => {
                    // systemd drops the job before it sends the signal.
                    match timeout(SIGNAL_WITHIN, job.result()).await {
                        Ok(Some(result)) if result != "done" => format!("systemd's job ended with {result:?}"),
                        Ok(_) => return self.verify(Some(accepted), "systemd's job is done").await,
                        Err(_) => {
                            return self.verify(Some(accepted), "the job ended, and systemd did not say how").await;
                        }
                    }
                }
                Err(_) if left > LOOK_EVERY => continue,
                Err(_) => format!("systemd's job has not ended within {limit:?} and goes on"),
            };
            let message = format!("{ending}; {} is {}", self.unit, self.read_unit().await?.state());
            return Err(self.run.unit_failure(FailureKind::Job, &self.unit, message).await);
        }
    }

    async fn current_job(&self) -> Result<Option<Job>, Failure> {
        let current = self.patiently(|| self.run.machine.systemd.current_job(&self.unit)).await;
        current.map_err(|error| self.unknown(&error))
    }

    async fn record_job(&self, job: &Job, message: &str) {
        let (path, at, uptime) = (job.path().to_owned(), clock::now(), self.run.machine.uptime());
        self.run
            .record(|operation| {
                operation.progress = Progress::Job { path, at, uptime };
                operation.step("job", message);
            })
            .await;
    }
}

fn nothing_asked(error: &BusError) -> String {
    format!("systemd cannot be reached, so it was asked for nothing: {}", chain(error))
}
