//! Switching the active one of two staging clusters: what stands against it, the site's own steps with proof, and taking them back.
//!
//! What comes next is decided by [`usher_core::staging`], from the states of the steps. Here are the commands, the clusters and the
//! locks. It neither asks nor prints: a [`Voice`] does.

mod checks;
mod event;
mod preflight;
mod report;
mod run;
mod step;

use std::collections::BTreeMap;

use futures::future::LocalBoxFuture;
use tokio::time::Instant;
use usher_common::chain;
use usher_core::staging::{Direction, Finding, Staging};

pub use self::{
    checks::{said, said_both_ways},
    event::Event,
    preflight::{Source, preflight},
    report::{StepReport, SwitchReport},
};
use self::{report::Outcome, run::Run};
use crate::{
    cluster::{Cluster, Lock, LockError, LockRequest},
    interrupt::Interrupt,
    problem::Problem,
};

/// How a run talks to the operator.
pub struct Voice<'a> {
    /// Shows what happened.
    pub tell: &'a dyn Fn(&Event),
    /// Asks whether to do a step, by its name. It must not hold up the runtime, which renews the locks.
    pub confirm: &'a dyn Fn(String) -> LocalBoxFuture<'static, Result<(), Problem>>,
}

impl Voice<'_> {
    fn note(&self, message: String) {
        (self.tell)(&Event::Note { message });
    }
}

/// One run of a switch.
pub struct Switch<'a> {
    pub staging: &'a Staging,
    pub direction: &'a Direction,
    /// The cluster that becomes the active one.
    pub target: &'a Cluster,
    /// The one that is active now, if it answers.
    pub source: Option<&'a Cluster>,
    /// The operation's id.
    pub operation: &'a str,
    /// The person, as user@host.
    pub requester: &'a str,
    pub task_id: Option<&'a str>,
    pub interrupt: &'a Interrupt,
    pub voice: &'a Voice<'a>,
}

impl Switch<'_> {
    /// Does the steps under the locks of both clusters, so that nobody rolls or reboots machines of either meanwhile. Takes back what
    /// it has begun if it does not come to its end. `findings` go into the report.
    ///
    /// # Errors
    ///
    /// If it did not begin: a lock is held or the target does not answer. And if the operator insists on leaving at once.
    pub async fn carry_out(&self, findings: Vec<Finding>) -> Result<SwitchReport, Problem> {
        let begun = Instant::now();
        let locks = tokio::select! {
            biased;
            locks = self.locks() => locks?,
            () = self.interrupt.requested() => return Err(Problem::interrupted("before it began")),
        };
        let run = Run {
            staging: self.staging,
            direction: self.direction,
            locks: &locks,
            interrupt: self.interrupt,
            voice: self.voice,
        };
        let outcome: Result<Outcome, Problem> = tokio::select! {
            biased;
            outcome = run.to_end() => Ok(outcome),
            () = self.interrupt.insisted() => {
                Err(Problem::interrupted("left at once: a step may be half done").hint("see how things are: usher staging status"))
            }
        };
        for lock in locks {
            if let Some(Err(error)) = self.interrupt.parting(lock.release()).await {
                self.voice.note(format!("a lock was not given back and expires by itself: {}", chain(&error)));
            }
        }
        Ok(SwitchReport::of(self.operation, self.direction, outcome?, findings, begun.elapsed()))
    }

    async fn locks(&self) -> Result<Vec<Lock>, Problem> {
        let request = LockRequest {
            operation: self.operation.to_owned(),
            requester: self.requester.to_owned(),
            reason: format!("staging switch to {}: {}", self.direction.to.name, self.direction.reason),
            task_id: self.task_id.map(str::to_owned),
            epochs: BTreeMap::new(),
        };
        let mut locks = vec![self.target.acquire_lock(&request).await?];
        // One server behind both names has one lock.
        let source = self.source.filter(|source| source.server() != self.target.server());
        match source.map(|source| source.acquire_lock(&request)) {
            None => {}
            Some(lock) => match lock.await {
                Ok(lock) => locks.push(lock),
                Err(LockError::Cluster(error)) => {
                    let name = &self.direction.from.name;
                    self.voice.note(format!("without the lock of {name}: {}", chain(&error)));
                }
                Err(held) => {
                    for lock in locks {
                        // It expires by itself if it cannot be given back.
                        let _ = lock.release().await;
                    }
                    return Err(held.into());
                }
            },
        }
        Ok(locks)
    }
}
