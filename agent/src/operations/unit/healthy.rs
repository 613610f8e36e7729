//! Waiting until the unit's probe says that it is healthy.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{
    super::{record::FailureKind, run::Outcome},
    Work, took,
};
use crate::machine::{
    probe::{self, Process},
    systemd::Unit,
};

impl Work<'_> {
    /// Probes the active unit, if it has a probe.
    pub(super) async fn until_healthy(&self, unit: Unit, accepted: Option<Instant>) -> Outcome {
        let Some(probe) = &self.policy.probe else { return Ok(()) };
        let message = format!("asking {} until it is healthy {} times in a row", probe.url.as_str(), probe.successes);
        self.run.record(|operation| operation.step("probe", message)).await;

        let seen = Mutex::new(unit);
        let probing = probe::until_healthy(probe, &self.run.machine.client, || self.compare(&seen));
        let probed = self.run.waiting(probing).await?;
        let (name, now) = (&self.unit, seen.into_inner().unwrap_or_else(PoisonError::into_inner));
        let (kind, message) = match probed {
            probe::Outcome::Healthy(first) => {
                self.run
                    .record(|operation| {
                        operation.evidence.unit_took = took(accepted, first);
                        operation.step("healthy", format!("{} healthy answers in a row", probe.successes));
                    })
                    .await;
                return Ok(());
            }
            probe::Outcome::Unhealthy(last) if now.is_active() => {
                let within = probe.deadline;
                let message = format!("{name} is active, but did not become healthy within {within:?}: {last}");
                (FailureKind::Probe, message)
            }
            probe::Outcome::Unhealthy(_) | probe::Outcome::Down => {
                (FailureKind::Job, format!("{name} was started, but is {} now", now.state()))
            }
        };
        Err(self.run.unit_failure(kind, name, message).await)
    }

    /// Whether the process that is probed is still the one seen last.
    async fn compare(&self, seen: &Mutex<Unit>) -> Process {
        // If systemd does not answer now, the next probe checks again.
        let Ok(now) = self.run.machine.systemd.unit(&self.unit).await else { return Process::Same };
        let before = std::mem::replace(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner), now.clone());
        if now.is_down() {
            return Process::Gone;
        }
        if now.invocation_id == before.invocation_id {
            return Process::Same;
        }
        self.run
            .record(|operation| {
                operation.evidence.invocation_id_after.clone_from(&now.invocation_id);
                let message =
                    format!("it restarted by itself: {} under InvocationID {}", now.state(), now.invocation_id);
                operation.step("active", message);
            })
            .await;
        Process::Replaced
    }
}
