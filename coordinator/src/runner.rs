//! The runner: turns, their steps, one stream of events.
//!
//! Turns follow one another, or some run side by side, as the plan says. Within a turn, a step that fails takes back those
//! before it, in reverse, unless the machine was already told to reboot. No more turns begin then.

mod one_by_one;
mod side_by_side;
mod turn;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    cluster::Lock,
    drain::MovedPod,
    event::Events,
    exit::Exit,
    interrupt::Interrupt,
    plan::{Plan, Refusal, Request, Turn, TurnId},
    steps::{How, Mandate, Policy, StepError, TurnState},
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
    /// Turns that began and are not: what they had changed is taken back, as far as it can be.
    pub failed: Vec<TurnId>,
    /// Turns that did not begin, or have left no trace.
    pub untouched: Vec<TurnId>,
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

/// What has happened so far.
#[derive(Default)]
struct Account {
    done: Vec<TurnId>,
    /// Turns that began and are not done.
    failed: Vec<TurnId>,
    /// Turns that did not begin.
    untouched: Vec<TurnId>,
    moved: BTreeMap<String, Vec<MovedPod>>,
    in_doubt: Option<String>,
    /// Why no more turns begin.
    stop: Option<Stop>,
}

impl Outcome {
    /// All turns that are not done, the failed ones first.
    pub fn left(&self) -> impl Iterator<Item = &TurnId> + Clone {
        self.failed.iter().chain(&self.untouched)
    }
}

impl Run<'_> {
    /// Runs the operation to its end. `first` is the plan that the operator agreed to.
    pub async fn to_end(self, first: Plan) -> Outcome {
        let mut account = Account::default();
        match first.concurrency {
            None => self.one_by_one(first, &mut account).await,
            Some(concurrency) => self.side_by_side(first, concurrency, &mut account).await,
        }
        account.close()
    }

    fn stop_before_a_change(&self) -> Option<Stop> {
        if self.interrupt.is_requested() {
            return Some(Stop::Interrupted);
        }
        self.lock.is_some_and(|lock| !lock.is_held()).then_some(Stop::LockLost)
    }
}

impl Account {
    /// A turn has ended.
    fn ended(&mut self, turn: &Turn, state: TurnState, result: Result<(), Stop>) {
        if state.reboot_asked() && result.is_err() {
            self.in_doubt = Some(turn.machine.clone());
        }
        if !state.moved.is_empty() {
            self.moved.insert(turn.machine.clone(), state.moved);
        }
        match result {
            Ok(()) => self.done.push(turn.id()),
            Err(stop) => {
                self.failed.push(turn.id());
                self.stop(stop);
            }
        }
    }

    /// No more turns begin. The first reason is the operation's; others are told with it.
    fn stop(&mut self, stop: Stop) {
        match (&mut self.stop, stop) {
            (None, stop) => self.stop = Some(stop),
            (Some(first), Stop::Failed(error)) => first.add(error),
            (Some(_), Stop::Refused(_) | Stop::LockLost | Stop::Interrupted) => {}
        }
    }

    fn close(self) -> Outcome {
        let Self { done, failed, untouched, moved, in_doubt, stop } = self;
        Outcome { failed, untouched, moved, in_doubt, ..outcome(stop, done) }
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
fn outcome(stop: Option<Stop>, done: Vec<TurnId>) -> Outcome {
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
    Outcome {
        exit,
        message,
        details,
        hints,
        done,
        failed: Vec::new(),
        untouched: Vec::new(),
        in_doubt: None,
        moved: BTreeMap::new(),
    }
}
