//! The runner: one loop over turns, one stream of events.
//!
//! Before each turn the facts are read and the plan is made anew, so that the order follows the leaders and every gate is
//! checked right before the machine it protects. Within a turn, a step that fails takes back those before it, in reverse,
//! unless the machine was already told to reboot. Nothing more is touched then.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    cluster::Lock,
    drain::MovedPod,
    event::{Events, Kind},
    exit::Exit,
    interrupt::Interrupt,
    plan::{self, Plan, Refusal, Request, Turn, TurnId},
    steps::{self, Context, How, Mandate, Policy, StepError, TurnState},
    words,
    world::{Scope, World},
};

/// How an operation ended and where it left things.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// How.
    pub exit: Exit,
    /// In one sentence, what state things are in.
    pub message: String,
    /// More of it, a line each.
    pub details: Vec<String>,
    /// What to do next, a line each.
    pub hints: Vec<String>,
    /// Turns that are done.
    pub done: Vec<TurnId>,
    /// Turns that are not, the one that failed among them.
    pub left: Vec<TurnId>,
    /// The machine that was told to reboot and not proved to be back.
    pub in_doubt: Option<String>,
    /// Pods that were moved, by the machine they left.
    #[serde(skip)]
    pub moved: BTreeMap<String, Vec<MovedPod>>,
}

/// An operation about to run.
#[derive(Debug)]
pub struct Run<'a> {
    /// Everything there is to talk to.
    pub world: &'a World,
    /// What was asked for.
    pub request: &'a Request,
    /// On whose behalf.
    pub mandate: &'a Mandate,
    /// Within which limits.
    pub policy: &'a Policy,
    /// Which machines to read facts of.
    pub scope: &'a Scope,
    /// The lock; None where nothing needs it.
    pub lock: Option<&'a Lock>,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
    /// Where events go.
    pub events: &'a Events,
}

/// Why the loop ended early.
enum Stop {
    Refused(Refusal),
    Failed(StepError),
    LockLost,
    Interrupted,
}

impl Run<'_> {
    /// Runs the operation to its end. `first` is the plan that the operator agreed to.
    pub async fn to_end(self, first: Plan) -> Outcome {
        let mut done: Vec<TurnId> = Vec::new();
        let mut moved = BTreeMap::new();
        let mut in_doubt = None;
        let mut plan = first;
        let (stop, left) = loop {
            let Some(turn) = plan.turns.first() else { break (None, Vec::new()) };
            let left: Vec<_> = plan.turns.iter().map(Turn::id).collect();
            if let Some(stop) = self.stop_before_a_change() {
                break (Some(stop), left);
            }
            let mut state = TurnState::default();
            let result = self.turn(done.len() + 1, turn, &mut state).await;
            if !state.moved.is_empty() {
                moved.insert(turn.machine.clone(), std::mem::take(&mut state.moved));
            }
            if let Err(stop) = result {
                in_doubt = state.reboot_asked().then(|| turn.machine.clone());
                break (Some(stop), left);
            }
            done.push(turn.id());
            if left.len() == 1 {
                break (None, Vec::new());
            }
            plan = match self.plan_again(&done).await {
                Ok(plan) => plan,
                Err(stop) => break (Some(stop), left.into_iter().skip(1).collect()),
            };
        };
        Outcome { moved, in_doubt, ..outcome(stop, done, left) }
    }

    async fn plan_again(&self, done: &[TurnId]) -> Result<Plan, Stop> {
        let facts = self.world.facts(self.scope).await.map_err(|error| Stop::Failed(error.into()))?;
        plan::make(self.request, done, &facts, &self.world.site).map_err(Stop::Refused)
    }

    fn stop_before_a_change(&self) -> Option<Stop> {
        if self.interrupt.is_requested() {
            return Some(Stop::Interrupted);
        }
        self.lock.is_some_and(|lock| !lock.is_held()).then_some(Stop::LockLost)
    }

    async fn turn(&self, number: usize, turn: &Turn, state: &mut TurnState) -> Result<(), Stop> {
        let begun = Instant::now();
        self.events.send(Kind::TurnBegan {
            turn: number,
            machine: turn.machine.clone(),
            component: turn.component.clone(),
        });
        let mut context = Context {
            world: self.world,
            mandate: self.mandate,
            policy: self.policy,
            interrupt: self.interrupt,
            events: self.events,
            turn,
            number,
            state,
        };
        let mut result = Ok(());
        let mut reached = 0;
        for (at, step) in turn.steps.iter().enumerate() {
            if step.changes()
                && !step.completes()
                && let Some(stop) = self.stop_before_a_change()
            {
                result = Err(stop);
                break;
            }
            reached = at + 1;
            self.events.send(Kind::StepBegan { turn: number, step: step.word().into() });
            if let Err(error) = steps::apply(step, &mut context).await {
                self.events.send(Kind::StepFailed {
                    turn: number,
                    step: step.word().into(),
                    message: error.message.clone(),
                    details: error.details.clone(),
                });
                result = Err(match error.how {
                    How::Interrupted => Stop::Interrupted,
                    // "Refused" promises that nothing was changed; after other steps that is no longer so.
                    How::Refused if at > 0 => Stop::Failed(StepError { how: How::Failed, ..error }),
                    _ => Stop::Failed(error),
                });
                break;
            }
        }
        if let Err(stop) = &mut result {
            for step in turn.steps[..reached].iter().rev() {
                if let Err(error) = steps::undo(step, &mut context).await {
                    stop.add(error);
                }
            }
        }
        let took = begun.elapsed().as_secs_f64();
        self.events.send(Kind::TurnEnded { turn: number, done: result.is_ok(), took });
        result
    }
}

impl Stop {
    /// What could not be taken back belongs to the report.
    fn add(&mut self, left: StepError) {
        let line = words::chain(&left);
        match self {
            Self::Failed(error) => {
                error.details.push(line);
                error.details.extend(left.details);
                error.hints.extend(left.hints);
            }
            Self::Refused(refusal) => {
                refusal.details.push(line);
                refusal.hints.extend(left.hints);
            }
            Self::LockLost | Self::Interrupted => {
                let mut failed = left;
                failed.how = How::Failed;
                *self = Self::Failed(failed);
            }
        }
    }
}

/// What an end means to the operator.
fn outcome(stop: Option<Stop>, done: Vec<TurnId>, left: Vec<TurnId>) -> Outcome {
    let begun = !done.is_empty();
    let (exit, message, details, hints) = match stop {
        None => (Exit::Done, String::new(), Vec::new(), Vec::new()),
        Some(Stop::Refused(refusal)) => {
            let exit = if begun { Exit::Partly } else { Exit::Refused };
            (exit, refusal.what, refusal.details, refusal.hints)
        }
        Some(Stop::Failed(error)) => {
            let exit = match error.how {
                How::TimedOut | How::Unknown => Exit::TimedOut,
                _ if begun => Exit::Partly,
                How::Refused => Exit::Refused,
                _ => Exit::Failed,
            };
            (exit, error.message, error.details, error.hints)
        }
        Some(Stop::LockLost) => {
            let exit = if begun { Exit::Partly } else { Exit::Failed };
            let message = "the cluster's lock was lost: another operation may have begun".to_owned();
            (exit, message, Vec::new(), vec!["see who holds it: usher status".to_owned()])
        }
        Some(Stop::Interrupted) => (Exit::Interrupted, "interrupted".to_owned(), Vec::new(), Vec::new()),
    };
    Outcome { exit, message, details, hints, done, left, in_doubt: None, moved: BTreeMap::new() }
}
