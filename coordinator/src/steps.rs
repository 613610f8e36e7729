//! What each step does: how it is checked, applied and verified, and how it is taken back.
//!
//! A step reports what it brought about as facts, with the evidence, and returns when that is proved. It never prints and
//! never sleeps to be on the safe side: it waits for an identity to change, with a deadline.

mod cordon;
mod drain;
mod handover;
mod leaders;
mod pool;
mod ready;
mod reboot;
mod unit;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde::Serialize;

use crate::{
    cluster::{ClusterError, CordonMark, NodeFacts},
    drain::{DrainOptions, MovedPod},
    event::{Events, Kind},
    interrupt::Interrupt,
    node::{NodeError, Order},
    plan::Turn,
    step::Step,
    words,
    world::World,
};

/// How a step did not do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// It failed, and what it left is said.
    Failed,
    /// It was refused before anything was changed.
    Refused,
    /// Its deadline passed.
    TimedOut,
    /// What became of the machine is not known.
    Unknown,
    /// The operator interrupted it.
    Interrupted,
}

/// Why a step is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase")]
pub struct StepError {
    /// How.
    pub how: How,
    /// What happened, in one sentence.
    pub message: String,
    /// More lines: a journal, blocked pods.
    pub details: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

impl StepError {
    fn new(how: How, message: impl Into<String>) -> Self {
        Self { how, message: message.into(), details: Vec::new(), hints: Vec::new() }
    }

    fn failed(message: impl Into<String>) -> Self {
        Self::new(How::Failed, message)
    }

    fn timed_out(message: impl Into<String>) -> Self {
        Self::new(How::TimedOut, message)
    }

    fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    fn hint(mut self, line: impl Into<String>) -> Self {
        self.hints.push(line.into());
        self
    }
}

impl From<ClusterError> for StepError {
    fn from(error: ClusterError) -> Self {
        Self::failed(words::chain(&error))
    }
}

impl From<NodeError> for StepError {
    fn from(error: NodeError) -> Self {
        let how = match &error {
            NodeError::Refused { .. } => How::Refused,
            NodeError::TimedOut { .. } => How::TimedOut,
            _ => How::Failed,
        };
        Self { hints: error.hint().into_iter().collect(), ..Self::new(how, words::chain(&error)) }
    }
}

/// Who wants the operation, and why; makes the orders that agents are sent.
#[derive(Debug)]
pub struct Mandate {
    /// The operation's id.
    pub operation: String,
    /// The command: `restart`, `reboot`, `cordon`, `drain`.
    pub command: &'static str,
    /// Why.
    pub reason: String,
    /// The ticket, if any.
    pub task_id: Option<String>,
    /// The person, as user@host.
    pub requester: String,
    /// The lock's epoch.
    pub epoch: u64,
    calls: AtomicU32,
}

impl Mandate {
    /// A mandate whose calls to agents are numbered from 1.
    pub fn new(
        operation: String,
        command: &'static str,
        reason: String,
        task_id: Option<String>,
        requester: String,
        epoch: u64,
    ) -> Self {
        Self { operation, command, reason, task_id, requester, epoch, calls: AtomicU32::new(0) }
    }

    /// An order with an id of its own.
    fn order(&self) -> Order {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        Order {
            operation_id: format!("{}.{number}", self.operation),
            epoch: self.epoch,
            reason: self.reason.clone(),
            task_id: self.task_id.clone(),
            requester: self.requester.clone(),
            dry_run: false,
        }
    }

    fn mark(&self) -> CordonMark {
        CordonMark {
            operation: self.operation.clone(),
            command: self.command.to_owned(),
            by: self.requester.clone(),
            reason: self.reason.clone(),
            at: jiff::Timestamp::now(),
        }
    }
}

/// What the operator allowed and for how long.
#[derive(Debug, Clone)]
pub struct Policy {
    /// For the drain.
    pub drain: DrainOptions,
    /// Inhibitors and users that a reboot overrides.
    pub override_blockers: Vec<String>,
    /// Components whose leader the operator has decided about: no leader is waited for that never was.
    pub without_leader: Vec<String>,
}

/// What earlier steps of a turn leave for later ones, and for taking them back.
#[derive(Debug, Default)]
pub struct TurnState {
    /// How many of its steps have begun.
    pub(crate) reached: usize,
    /// The Node before anything was done to it.
    node: Option<NodeFacts>,
    /// Boot id before the reboot.
    boot_id: Option<String>,
    /// Set when the machine may have been told to reboot: nothing is taken back from here on.
    reboot_asked: bool,
    /// The machine is out of the pool.
    depooled: bool,
    /// Units that were stopped and must run again, with their components.
    stopped: Vec<(String, String)>,
    /// Holders of leases whose processes have ended, by component.
    replaced: BTreeMap<String, String>,
    /// Pods that the drain moved.
    pub(crate) moved: Vec<MovedPod>,
}

impl TurnState {
    /// Whether the machine may have been told to reboot.
    pub fn reboot_asked(&self) -> bool {
        self.reboot_asked
    }

    /// Whether the machine is out of the load balancer's pool.
    pub fn is_depooled(&self) -> bool {
        self.depooled
    }
}

/// What a step works with.
#[derive(Debug)]
pub struct Context<'a> {
    /// Everything there is to talk to.
    pub world: &'a World,
    /// On whose behalf.
    pub mandate: &'a Mandate,
    /// Within which limits.
    pub policy: &'a Policy,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
    /// Where facts go.
    pub events: &'a Events,
    /// The turn this step belongs to, and its number from 1.
    pub turn: &'a Turn,
    /// See there.
    pub number: usize,
    /// What earlier steps left.
    pub state: &'a mut TurnState,
}

impl Context<'_> {
    fn machine(&self) -> &str {
        &self.turn.machine
    }

    fn fact(&self, step: &Step, what: impl Into<String>) {
        self.events.send(Kind::Fact { turn: self.number, step: step.word().into(), what: what.into() });
    }

    fn waiting(&self, step: &Step, what: impl Into<String>) {
        self.events.send(Kind::Waiting { turn: self.number, step: step.word().into(), what: what.into() });
    }

    fn undone(&self, step: &Step, what: impl Into<String>) {
        self.events.send(Kind::Undone { turn: self.number, step: step.word().into(), what: what.into() });
    }
}

/// Does a step and proves it.
///
/// # Errors
///
/// [`StepError`]; whatever the step had changed by then is what [`undo`] takes back.
pub async fn apply(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    match step {
        Step::Depool => pool::depool(step, context).await,
        Step::Pool => pool::pool(step, context).await,
        Step::Restart { component, unit } => unit::restart(step, context, component, unit).await,
        Step::Start { component, unit } => unit::start(step, context, component, unit).await,
        Step::HandOver { component, unit } => handover::hand_over(step, context, component, unit).await,
        Step::ProveControlPlane => leaders::prove(step, context).await,
        Step::Gap { wait } => gap(step, context, *wait).await,
        Step::Cordon { .. } => cordon::cordon(step, context).await,
        Step::Uncordon { only_ours } => cordon::uncordon(step, context, *only_ours).await,
        Step::Drain => drain::drain(step, context).await,
        Step::Reboot => reboot::reboot(step, context).await,
        Step::ProveUnits => ready::prove_units(step, context).await,
        Step::ProveReady => ready::prove_node(step, context).await,
    }
}

/// Takes back what a step has changed, exactly, if it can be taken back and nothing later forbids it.
///
/// # Errors
///
/// [`StepError`] says what is left and how to mend it by hand.
pub async fn undo(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    if context.state.reboot_asked {
        return Ok(());
    }
    match step {
        Step::Depool => pool::undo_depool(step, context).await,
        Step::HandOver { component, unit } => handover::undo(step, context, component, unit).await,
        Step::Cordon { .. } => cordon::undo(step, context).await,
        _ => Ok(()),
    }
}

/// Waits, and gives way to an interrupt at once: nothing is half done in a gap.
async fn gap(step: &Step, context: &Context<'_>, wait: Duration) -> Result<(), StepError> {
    context.waiting(step, format!("letting clients find it for {}", words::took(wait)));
    tokio::select! {
        () = tokio::time::sleep(wait) => Ok(()),
        () = context.interrupt.requested() => Ok(()),
    }
}
