//! One turn: its steps in order, and taking them back.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;
use usher_core::{
    operation::{Baseline, Call},
    plan::gates,
};

use super::Run;
use crate::{
    event::{Events, Kind},
    facts::{Inventory, Scope},
    left_behind,
    plan::{Begin, Left, Turn, step::Step},
    problem::{self, Problem},
    steps::{self, Context, Progress},
};

/// A turn that has begun.
#[derive(Debug)]
pub(super) struct UnderWay {
    number: usize,
    pub(super) turn: Turn,
    baseline: Baseline,
    pub(super) progress: Progress,
    begun: Instant,
}

impl UnderWay {
    /// Begins a turn that was planned from `facts`, and says so.
    pub(super) fn begin(number: usize, turn: Turn, facts: &Inventory, events: &Events) -> Self {
        events.send(Kind::TurnBegan {
            turn: number,
            machine: turn.machine().to_owned(),
            component: turn.target.component().map(str::to_owned),
        });
        let baseline = Baseline::of(turn.machine(), facts);
        Self { number, turn, baseline, progress: Progress::default(), begun: Instant::now() }
    }
}

impl Run<'_> {
    /// Goes on with a turn: only to the end of its preparation, or to its own end. Gives back how it ended, if it did.
    pub(super) async fn go_on(
        &self,
        mut under_way: UnderWay,
        begin: Begin,
        failing: &AtomicBool,
    ) -> (UnderWay, Option<Result<(), Problem>>) {
        let until = match begin {
            Begin::Preparation => under_way.turn.preparation(),
            Begin::Turn => under_way.turn.steps.len(),
        };
        let result = self.steps(&mut under_way, until).await;
        if result.is_err() {
            failing.store(true, Ordering::Relaxed);
        }
        if begin == Begin::Preparation && result.is_ok() {
            return (under_way, None);
        }
        let result = self.end(&mut under_way, result).await;
        (under_way, Some(result))
    }

    /// Does the steps that have not begun yet, up to the one with index `until`.
    async fn steps(&self, under_way: &mut UnderWay, until: usize) -> Result<(), Problem> {
        for at in under_way.progress.reached..until {
            let step = under_way.turn.steps[at].clone();
            if step.changes()
                && !step.completes()
                && let Some(problem) = self.stop_before_a_change(under_way.turn.machine())
            {
                return Err(problem);
            }
            let has_changed = under_way.turn.steps[..at].iter().any(Step::changes);
            under_way.progress.reached = at + 1;
            self.left.note(under_way.number, Left::of(&under_way.turn, at + 1));
            self.events.send(Kind::StepBegan { turn: under_way.number, step: step.word().into() });
            if let Err(mut problem) = self.step(under_way, at, &step).await {
                // A refusal promises that nothing was changed.
                if problem.kind == problem::Kind::Refused && has_changed {
                    problem.kind = problem::Kind::Failed;
                }
                if problem.kind != problem::Kind::Interrupted {
                    self.events.send(Kind::StepFailed {
                        turn: under_way.number,
                        step: step.word().into(),
                        message: problem.message.clone(),
                        details: problem.details.clone(),
                    });
                }
                return Err(problem);
            }
        }
        Ok(())
    }

    async fn step(&self, under_way: &mut UnderWay, at: usize, step: &Step) -> Result<(), Problem> {
        if let Some(evidence) = steps::check(step, &mut self.context(under_way, at, false)).await? {
            self.context(under_way, at, false).fact(evidence);
            return Ok(());
        }
        if step.is_irreversible() {
            self.ask_the_last_gates(&under_way.turn, step).await?;
            self.prove_the_lock().await?;
        }
        steps::apply(step, &mut self.context(under_way, at, false)).await
    }

    /// The point of no return: what was true when the turn was planned may have changed during its drain. The call that
    /// cannot be taken back follows at once.
    async fn ask_the_last_gates(&self, turn: &Turn, step: &Step) -> Result<(), Problem> {
        let machines = [turn.machine().to_owned()].into();
        let scope = Scope { control_plane: turn.control_plane, machines, ..Scope::default() };
        let facts = self.world.facts(&scope).await?;
        gates::before_irreversible(step, self.request, turn, &facts, &self.world.site)
    }

    /// By the server's word: this process may have slept, and another operation begun, since the lock was renewed.
    async fn prove_the_lock(&self) -> Result<(), Problem> {
        match self.lock {
            Some(lock) if !lock.prove().await? => Err(problem::lock_lost()),
            _ => Ok(()),
        }
    }

    /// Ends a turn: if it is not done, its steps are taken back, the last one first.
    pub(super) async fn end(&self, under_way: &mut UnderWay, mut result: Result<(), Problem>) -> Result<(), Problem> {
        if let Err(problem) = &mut result {
            for at in (0..under_way.progress.reached).rev() {
                let step = under_way.turn.steps[at].clone();
                if let Err(left) = steps::undo(&step, &mut self.context(under_way, at, true)).await {
                    problem.and(left);
                }
            }
            // Nothing was taken back: the operator must know what the machine was left with.
            if under_way.progress.reboot_requested {
                let left = Left::of(&under_way.turn, under_way.progress.reached);
                problem.details.extend(left_behind::after_a_reboot(&left, self.world));
            }
        }
        self.left.forget(under_way.number);
        let took = under_way.begun.elapsed().as_secs_f64();
        self.events.send(Kind::TurnEnded { turn: under_way.number, done: result.is_ok(), took });
        result
    }

    fn context<'c>(&'c self, under_way: &'c mut UnderWay, at: usize, undo: bool) -> Context<'c> {
        let UnderWay { number, turn, baseline, progress, .. } = under_way;
        Context {
            world: self.world,
            request: self.request,
            mandate: self.mandate,
            drain: self.drain,
            lock: self.lock,
            interrupt: self.interrupt,
            events: self.events,
            target: &turn.target,
            baseline,
            call: Call { turn: *number, step: at + 1, undo },
            word: turn.steps[at].word(),
            progress,
        }
    }
}
