//! Restarting, stopping and starting a unit: systemd's job, the proof that it did what it should, the probe.

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
        systemd::{Unit, Verb},
    },
};

/// How long systemd may be unreachable before an operation gives up on it: a restart of dbus takes a second or two.
const UNREACHABLE_FOR: Duration = Duration::from_secs(30);

/// Rest between two tries to reach it.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The job's limit for a unit that the configuration no longer names: as its default.
const FORGOTTEN: UnitPolicy = UnitPolicy { job_timeout: Duration::from_secs(120), probe: None };

/// What is done to a unit.
#[derive(Debug)]
struct Work<'a> {
    run: &'a Run,
    unit: String,
    verb: Verb,
    /// The InvocationID before.
    before: String,
    policy: UnitPolicy,
}

pub(super) async fn run(run: &Run, begin: Begin) -> Outcome {
    let operation = run.operation();
    let (unit, verb) = match &operation.change {
        Change::RestartUnit { unit, .. } => (unit.clone(), Verb::Restart),
        Change::StopUnit { unit, .. } => (unit.clone(), Verb::Stop),
        Change::StartUnit { unit } => (unit.clone(), Verb::Start),
        // A reboot has a module of its own.
        Change::RebootNode { .. } => return Ok(()),
    };
    let policy = run.machine.config.units.get(&unit).cloned().unwrap_or(FORGOTTEN);
    let work = Work { run, unit, verb, before: operation.evidence.invocation_id_before.clone(), policy };
    match begin {
        Begin::Fresh => work.fresh().await,
        Begin::Resumed => work.resumed(operation).await,
    }
}

impl Work<'_> {
    async fn fresh(&self) -> Outcome {
        if self.verb == Verb::Start && self.look().await?.is_active() {
            return self.prove(None, "it was active already").await;
        }
        self.ask().await
    }

    async fn resumed(&self, operation: Operation) -> Outcome {
        let rebooted = self.run.machine.boot_id().is_ok_and(|boot_id| boot_id != operation.boot_id);
        let words = if rebooted { "the node was rebooted meanwhile" } else { "the agent was restarted meanwhile" };
        self.run.note(|operation| operation.step("resumed", words)).await;
        match operation.progress {
            // A job's path means nothing in another boot.
            _ if rebooted => self.find_out(Unknown::Rebooted).await,
            Progress::Job { path, at } => self.find_job(&path, instant_of(at)).await,
            Progress::Active { at } => self.prove(instant_of(at), "it was active before").await,
            Progress::Accepted | Progress::RebootAsked => self.find_out(Unknown::Restarted).await,
        }
    }

    /// The job is over: is the unit what it should be?
    async fn prove(&self, taken: Option<Instant>, how: &str) -> Outcome {
        let unit = self.look().await?;
        let (name, state) = (&self.unit, unit.state());
        let wrong = match self.verb {
            Verb::Stop if !unit.is_down() => Some(format!("{how}, but {name} is {state}")),
            Verb::Restart | Verb::Start if !unit.is_active() => Some(format!("{how}, but {name} is {state}")),
            Verb::Restart if unit.invocation_id == self.before => {
                Some(format!("{how}, but {name} still runs under InvocationID {}", self.before))
            }
            _ => None,
        };
        if let Some(words) = wrong {
            return Err(self.run.unit_failure(FailureKind::Job, name, words).await);
        }
        let now = Instant::now();
        if self.verb == Verb::Stop {
            self.run
                .note(|operation| {
                    operation.evidence.unit_took = took(taken, now);
                    operation.step("job", format!("{how}: {name} is {state}"));
                })
                .await;
            return Ok(());
        }
        self.run
            .note(|operation| {
                let at = match operation.progress {
                    Progress::Job { at, .. } | Progress::Active { at } => at,
                    Progress::Accepted | Progress::RebootAsked => clock::now(),
                };
                operation.progress = Progress::Active { at };
                operation.evidence.unit_took = took(taken, now);
                operation.evidence.invocation_id_after.clone_from(&unit.invocation_id);
                operation.step("active", format!("{how}: {state} under InvocationID {}", unit.invocation_id));
            })
            .await;
        self.until_healthy(unit, taken).await
    }

    async fn look(&self) -> Result<Unit, Failure> {
        self.patiently(|| self.run.machine.systemd.unit(&self.unit)).await
    }

    /// Asks again while systemd cannot be reached.
    async fn patiently<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, BusError>>,
    {
        let deadline = Instant::now() + UNREACHABLE_FOR;
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(BusError::Lost(_) | BusError::Unreachable(_)) if Instant::now() < deadline => {
                    sleep(TRY_EVERY).await;
                }
                Err(error) => {
                    let words = format!("what became of {} is unknown: {}", self.unit, chain(&error));
                    return Err(failure(FailureKind::Systemd, words));
                }
            }
        }
    }
}

fn took(taken: Option<Instant>, until: Instant) -> Option<SignedDuration> {
    SignedDuration::try_from(until.saturating_duration_since(taken?)).ok()
}

/// The runtime's moment that belongs to a time of the clock, if it has one.
fn instant_of(at: Timestamp) -> Option<Instant> {
    let ago = Duration::try_from(clock::now().duration_since(at)).ok()?;
    Instant::now().checked_sub(ago)
}
