//! systemd's job on the unit: asked for, followed to its end, found again.

use tokio::time::{Instant, timeout};
use usher_common::{chain, clock};

use super::{
    super::{
        record::{Failure, FailureKind, Progress},
        run::{Outcome, failure},
    },
    Work,
};
use crate::machine::systemd::{Job, Verb};

/// Why nobody knows what became of a job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unknown {
    /// systemd was asked, and its answer did not come.
    AnswerLost {
        /// When it was asked.
        asked: Instant,
    },
    /// The agent was restarted before it had noted the job.
    Restarted,
    /// Jobs end with the boot, whether they were done or not.
    Rebooted,
}

impl Unknown {
    /// What is said if the unit shows that nothing came of it.
    fn words(self) -> (FailureKind, &'static str) {
        match self {
            Self::AnswerLost { .. } => (FailureKind::Systemd, "systemd's answer was lost, and it has no job"),
            Self::Restarted => (FailureKind::Interrupted, "interrupted before systemd had the job: nothing happened"),
            Self::Rebooted => (FailureKind::Interrupted, "interrupted by a reboot of the node, ask again"),
        }
    }
}

impl Work<'_> {
    /// Asks systemd for the job and follows it.
    pub(super) async fn ask(&self) -> Outcome {
        let asked = Instant::now();
        match self.run.machine.systemd.start_job(self.verb, &self.unit).await {
            Ok(job) => {
                self.note_job(&job, "systemd has taken the job").await;
                self.follow(job, asked).await
            }
            Err(error) if error.perhaps_taken() => {
                let words = format!("systemd's answer was lost ({}); looking at the unit", chain(&error));
                self.run.note(|operation| operation.step("job", words)).await;
                self.find_out(Unknown::AnswerLost { asked }).await
            }
            Err(error) => {
                let words = format!("systemd did not take the job: {}", chain(&error));
                Err(failure(FailureKind::Systemd, words))
            }
        }
    }

    /// Nobody knows whether systemd took the job: the unit tells.
    pub(super) async fn find_out(&self, why: Unknown) -> Outcome {
        let asked = match why {
            Unknown::AnswerLost { asked } => Some(asked),
            Unknown::Restarted | Unknown::Rebooted => None,
        };
        if let Some(job) = self.present_job().await? {
            self.note_job(&job, "systemd has a job for the unit").await;
            return self.follow(job, asked.unwrap_or_else(Instant::now)).await;
        }
        let unit = self.look().await?;
        // Even if it did not stay up.
        let started = !unit.invocation_id.is_empty() && unit.invocation_id != self.before;
        let happened = match self.verb {
            Verb::Restart => started,
            Verb::Stop => unit.is_down(),
            Verb::Start => started || unit.is_active(),
        };
        if happened {
            return self.prove(asked, "the job ended while nobody looked").await;
        }
        let (kind, words) = why.words();
        Err(failure(kind, format!("{words}; {} is {}", self.unit, unit.state())))
    }

    /// Follows a job that was taken earlier, or looks at what it left behind.
    pub(super) async fn find_job(&self, path: &str, taken: Option<Instant>) -> Outcome {
        match self.present_job().await? {
            Some(job) if job.path() == path => self.follow(job, taken.unwrap_or_else(Instant::now)).await,
            _ => self.prove(taken, "the job ended while nobody looked").await,
        }
    }

    async fn follow(&self, mut job: Job, taken: Instant) -> Outcome {
        let limit = self.policy.job_timeout;
        let path = job.path().to_owned();
        loop {
            let left = (taken + limit).saturating_duration_since(Instant::now());
            let words = match timeout(left, job.result()).await {
                Ok(Some(result)) if result == "done" => return self.prove(Some(taken), "systemd's job is done").await,
                Ok(Some(result)) => format!("systemd's job ended with {result:?}"),
                // The bus went away and with it the signal; the job did not.
                Ok(None) => match self.present_job().await? {
                    Some(present) if present.path() == path => {
                        job = present;
                        continue;
                    }
                    _ => return self.prove(Some(taken), "the job ended while D-Bus was away").await,
                },
                Err(_) => format!("systemd's job has not ended within {limit:?} and goes on"),
            };
            let message = format!("{words}; {} is {}", self.unit, self.look().await?.state());
            return Err(self.run.unit_failure(FailureKind::Job, &self.unit, message).await);
        }
    }

    async fn present_job(&self) -> Result<Option<Job>, Failure> {
        self.patiently(|| self.run.machine.systemd.present_job(&self.unit)).await
    }

    async fn note_job(&self, job: &Job, words: &str) {
        let (path, at) = (job.path().to_owned(), clock::now());
        self.run
            .note(|operation| {
                operation.progress = Progress::Job { path, at };
                operation.step("job", words);
            })
            .await;
    }
}
