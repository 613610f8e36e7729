//! Restarting, stopping and starting a unit: systemd's job, proof of its effect, the probe.

mod healthy;
mod job;

use std::{future::Future, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use usher_common::{chain, clock};

use super::{
    record::{Change, Failure, FailureKind, Operation, Progress},
    run::{Begin, Outcome, Run, failure},
};
use job::Unknown;

use crate::{
    config::UnitPolicy,
    machine::{
        bus::BusError,
        systemd::{JobType, Unit},
    },
};

/// How long systemd may be unreachable before an operation fails. A restart of dbus takes a second or two.
const UNREACHABLE_FOR: Duration = Duration::from_secs(30);

/// The pause between attempts to reach it.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The policy for a unit that the configuration no longer names: the defaults, without a probe.
const UNCONFIGURED: UnitPolicy = UnitPolicy { job_timeout: Duration::from_secs(120), probe: None };

/// A change of a unit in progress.
#[derive(Debug)]
struct Work<'a> {
    run: &'a Run,
    change: Change,
    unit: String,
    job_type: JobType,
    /// The InvocationID before the change.
    before: String,
    policy: UnitPolicy,
}

pub(super) async fn run(run: &Run, begin: Begin) -> Outcome {
    let operation = run.operation();
    let (unit, job_type) = match &operation.change {
        Change::RestartUnit { unit, .. } => (unit.clone(), JobType::Restart),
        Change::StopUnit { unit, .. } => (unit.clone(), JobType::Stop),
        Change::StartUnit { unit } => (unit.clone(), JobType::Start),
        // A reboot is not a change of a unit.
        Change::RebootNode { .. } => return Ok(()),
    };
    let policy = run.machine.config().units.get(&unit).cloned().unwrap_or(UNCONFIGURED);
    let (change, before) = (operation.change.clone(), operation.evidence.invocation_id_before.clone());
    let work = Work { run, change, unit, job_type, before, policy };
    match begin {
        Begin::Fresh => work.fresh().await,
        Begin::Resumed => work.resumed(operation).await,
    }
}

impl Work<'_> {
    async fn fresh(&self) -> Outcome {
        if self.job_type == JobType::Start && self.read_unit().await?.is_active() {
            return self.verify(None, "it was active already").await;
        }
        self.start_job().await
    }

    async fn resumed(&self, operation: Operation) -> Outcome {
        let rebooted = self.run.machine.boot_id().is_ok_and(|boot_id| boot_id != operation.boot_id);
        let message = if rebooted { "the node was rebooted meanwhile" } else { "the agent was restarted meanwhile" };
        self.run.record(|operation| operation.step("resumed", message)).await;
        match operation.progress {
            // A job's path is meaningless in another boot.
            _ if rebooted => self.reconcile(Unknown::Rebooted).await,
            Progress::Job { path, at, uptime } => self.resume_job(&path, self.instant_of(at, uptime)).await,
            Progress::Active { at, uptime } => self.verify(self.instant_of(at, uptime), "it was active before").await,
            Progress::Accepted | Progress::RebootAsked => self.reconcile(Unknown::Restarted).await,
        }
    }

    /// Verifies, after the job, that the unit is in the requested state.
    async fn verify(&self, accepted: Option<Instant>, how: &str) -> Outcome {
        let unit = self.read_unit().await?;
        let (name, state) = (&self.unit, unit.state());
        let wrong = match self.job_type {
            JobType::Stop if !unit.is_down() => Some(format!("{how}, but {name} is {state}")),
            JobType::Restart | JobType::Start if !unit.is_active() => Some(format!("{how}, but {name} is {state}")),
            JobType::Restart if unit.invocation_id == self.before => {
                Some(format!("{how}, but {name} still runs under InvocationID {}", self.before))
            }
            _ => None,
        };
        if let Some(message) = wrong {
            return Err(self.run.unit_failure(FailureKind::Job, name, message).await);
        }
        let (now, uptime_now) = (Instant::now(), self.run.machine.uptime());
        if self.job_type == JobType::Stop {
            self.run
                .record(|operation| {
                    operation.evidence.unit_took = took(accepted, now);
                    operation.step("job", format!("{how}: {name} is {state}"));
                })
                .await;
            return Ok(());
        }
        self.run
            .record(|operation| {
                let (at, uptime) = match operation.progress {
                    Progress::Job { at, uptime, .. } | Progress::Active { at, uptime } => (at, uptime),
                    Progress::Accepted | Progress::RebootAsked => (clock::now(), uptime_now),
                };
                operation.progress = Progress::Active { at, uptime };
                operation.evidence.unit_took = took(accepted, now);
                operation.evidence.invocation_id_after.clone_from(&unit.invocation_id);
                operation.step("active", format!("{how}: {state} under InvocationID {}", unit.invocation_id));
            })
            .await;
        self.until_healthy(unit, accepted).await
    }

    async fn read_unit(&self) -> Result<Unit, Failure> {
        self.patiently(|| self.run.machine.systemd.unit(&self.unit)).await.map_err(|error| self.unknown(&error))
    }

    /// Retries while systemd is unreachable. Only for calls that may be made twice.
    async fn patiently<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, BusError>
    where
        F: Future<Output = Result<T, BusError>>,
    {
        let deadline = Instant::now() + UNREACHABLE_FOR;
        loop {
            match call().await {
                Err(BusError::Lost(_) | BusError::Unreachable(_)) if Instant::now() < deadline => {
                    sleep(RETRY_INTERVAL).await;
                }
                answer => return answer,
            }
        }
    }

    /// systemd was asked for something, and does not tell any more what came of it.
    fn unknown(&self, error: &BusError) -> Failure {
        failure(FailureKind::Systemd, format!("what became of {} is unknown: {}", self.unit, chain(error)))
    }

    /// The runtime's instant for a time of an earlier agent in this boot, if it can represent it. The boot's own time tells it
    /// whatever has happened to the clock since.
    fn instant_of(&self, at: Timestamp, uptime: Option<SignedDuration>) -> Option<Instant> {
        let ago = match (uptime, self.run.machine.uptime()) {
            (Some(then), Some(now)) => now.checked_sub(then)?,
            _ => clock::now().duration_since(at),
        };
        Instant::now().checked_sub(Duration::try_from(ago).ok()?)
    }
}

fn took(accepted: Option<Instant>, until: Instant) -> Option<SignedDuration> {
    SignedDuration::try_from(until.saturating_duration_since(accepted?)).ok()
}
