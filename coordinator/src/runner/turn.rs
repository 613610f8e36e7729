//! One turn: its steps in order, and taking them back.

use std::ops::Range;

use tokio::time::Instant;

use super::{Run, Stop};
use crate::{
    event::Kind,
    plan::Turn,
    steps::{self, Context, How, StepError, TurnState},
};

impl Run<'_> {
    /// Says that a turn begins, and gives back when.
    pub(super) fn begin(&self, number: usize, turn: &Turn) -> Instant {
        self.events.send(Kind::TurnBegan {
            turn: number,
            machine: turn.machine.clone(),
            component: turn.component.clone(),
        });
        Instant::now()
    }

    /// Does some of a turn's steps. Those that have begun by the end are known to its state.
    pub(super) async fn steps(
        &self,
        number: usize,
        turn: &Turn,
        which: Range<usize>,
        state: &mut TurnState,
    ) -> Result<(), Stop> {
        let mut context = self.context(number, turn, state);
        for (at, step) in turn.steps.iter().enumerate().take(which.end).skip(which.start) {
            if step.changes()
                && !step.completes()
                && let Some(stop) = self.stop_before_a_change()
            {
                return Err(stop);
            }
            context.state.reached = at + 1;
            self.events.send(Kind::StepBegan { turn: number, step: step.word().into() });
            if let Err(error) = steps::apply(step, &mut context).await {
                self.events.send(Kind::StepFailed {
                    turn: number,
                    step: step.word().into(),
                    message: error.message.clone(),
                    details: error.details.clone(),
                });
                return Err(match error.how {
                    How::Interrupted => Stop::Interrupted,
                    // "Refused" promises that nothing was changed; after other steps that is no longer so.
                    How::Refused if at > 0 => Stop::Failed(StepError { how: How::Failed, ..error }),
                    _ => Stop::Failed(error),
                });
            }
        }
        Ok(())
    }

    /// Ends a turn: if it is not done, what its steps have changed is taken back.
    pub(super) async fn end(
        &self,
        (number, begun): (usize, Instant),
        turn: &Turn,
        state: &mut TurnState,
        mut result: Result<(), Stop>,
    ) -> Result<(), Stop> {
        if let Err(stop) = &mut result {
            let reached = state.reached;
            let mut context = self.context(number, turn, state);
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

    fn context<'c>(&'c self, number: usize, turn: &'c Turn, state: &'c mut TurnState) -> Context<'c> {
        Context {
            world: self.world,
            mandate: self.mandate,
            policy: self.policy,
            interrupt: self.interrupt,
            events: self.events,
            turn,
            number,
            state,
        }
    }
}
