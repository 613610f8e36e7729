//! Waiting until the unit itself says that it is healthy.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{
    super::{record::FailureKind, run::Outcome},
    Work, took,
};
use crate::machine::{
    probe::{self, Look, Verdict},
    systemd::Unit,
};

impl Work<'_> {
    /// Probes the unit, which is active, if it has a probe.
    pub(super) async fn until_healthy(&self, unit: Unit, taken: Option<Instant>) -> Outcome {
        let Some(probe) = &self.policy.probe else { return Ok(()) };
        let words = format!("asking {} until it is healthy {} times in a row", probe.url.as_str(), probe.successes);
        self.run.note(|operation| operation.step("probe", words)).await;

        let seen = Mutex::new(unit);
        let verdict = probe::until_healthy(probe, &self.run.machine.dial, || self.compare(&seen)).await;
        let (name, now) = (&self.unit, seen.into_inner().unwrap_or_else(PoisonError::into_inner));
        let (kind, words) = match verdict {
            Verdict::Healthy(first) => {
                self.run
                    .note(|operation| {
                        operation.evidence.unit_took = took(taken, first);
                        operation.step("healthy", format!("{} healthy answers in a row", probe.successes));
                    })
                    .await;
                return Ok(());
            }
            Verdict::Unhealthy(last) if now.is_active() => {
                let within = probe.deadline;
                let words = format!("{name} is active, but did not become healthy within {within:?}: {last}");
                (FailureKind::Probe, words)
            }
            Verdict::Unhealthy(_) | Verdict::Stopped => {
                (FailureKind::Job, format!("{name} was started, but is {} now", now.state()))
            }
        };
        Err(self.run.unit_failure(kind, name, words).await)
    }

    /// Whether the unit that is probed is still the one that was seen last.
    async fn compare(&self, seen: &Mutex<Unit>) -> Look {
        // What cannot be read now is read after the next question.
        let Ok(now) = self.run.machine.systemd.unit(&self.unit).await else { return Look::Same };
        let before = std::mem::replace(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner), now.clone());
        if now.is_down() {
            return Look::Stop;
        }
        if now.invocation_id == before.invocation_id {
            return Look::Same;
        }
        self.run
            .note(|operation| {
                operation.evidence.invocation_id_after.clone_from(&now.invocation_id);
                let words = format!("it restarted by itself: {} under InvocationID {}", now.state(), now.invocation_id);
                operation.step("active", words);
            })
            .await;
        Look::Fresh
    }
}
