//! One step: checked, applied and proved, or taken back and proved.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use usher_core::staging::{Direction, Said, State, Step};

use super::{Event, Voice, checks};
use crate::{
    exec::{self, CommandOutcome},
    interrupt::Interrupt,
    problem::{Kind, Problem},
    text::{command, took},
};

/// Between two looks whether a step has its effect.
const PAUSE: Duration = Duration::from_millis(500);

/// Lines of a command's output that are told where it failed.
const TOLD: usize = 10;

/// One step of a run.
pub(super) struct OneStep<'a> {
    pub(super) step: &'a Step,
    pub(super) direction: &'a Direction,
    pub(super) interrupt: &'a Interrupt,
    pub(super) voice: &'a Voice<'a>,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) state: State,
    /// What was brought about, with the evidence.
    pub(super) told: Vec<String>,
    pub(super) problem: Option<Problem>,
}

impl Ended {
    fn well(state: State, told: impl Into<String>) -> Self {
        Self { state, told: vec![told.into()], problem: None }
    }

    fn badly(state: State, problem: Problem) -> Self {
        Self { state, told: Vec::new(), problem: Some(problem) }
    }
}

impl OneStep<'_> {
    /// Does it, unless it is done already.
    pub(super) async fn done(&self) -> Ended {
        let Step { name, apply, verify, check, confirm, settle, .. } = self.step;
        match checks::of_step(self.step, self.direction).await {
            Said::Done => return Ended::well(State::Found, "done already"),
            Said::Unknown { how } => {
                let problem = Problem::failed(format!("the check of {name} gives no answer: {how}"));
                return Ended::badly(State::Waiting, problem);
            }
            Said::NotDone => {}
        }
        if *confirm {
            let answer = tokio::select! {
                biased;
                () = self.interrupt.requested() => Err(Problem::interrupted(format!("before {name} was begun"))),
                answer = (self.voice.confirm)(name.clone()) => answer,
            };
            if let Err(problem) = answer {
                return Ended::badly(State::Waiting, problem);
            }
        }
        let applied = self.run(apply).await;
        if !applied.succeeded() {
            return Ended::badly(State::Failed, failure(name, "was not applied", &applied));
        }
        let proof = verify.as_ref().unwrap_or(check);
        let begun = Instant::now();
        if let Err(problem) = self.until(proof, CommandOutcome::succeeded, true).await {
            let within = took(self.step.verify_timeout);
            let what = format!("does not have its effect within {within}");
            let problem = problem.unwrap_or_else(|last| failure(name, &what, &last));
            return Ended::badly(State::Failed, problem);
        }
        let seen = took(applied.took + begun.elapsed());
        if !settle.is_zero() {
            let what = format!("waiting {} for caches", took(*settle));
            (self.voice.tell)(&Event::StepWaits { step: name.clone(), what });
            tokio::select! {
                biased;
                () = sleep(*settle) => {}
                () = self.interrupt.requested() => {}
            }
        }
        Ended::well(State::Applied, format!("done and seen after {seen}"))
    }

    /// Takes it back, by the site's own command, until its check says that it is not done.
    pub(super) async fn taken_back(&self) -> Ended {
        let Step { name, says, undo, check, .. } = self.step;
        let says = self.direction.fill(says);
        let Some(undo) = undo else {
            let problem = Problem::failed(format!("{name} has no undo command and stays: {says}"));
            return Ended::badly(State::Stays, problem);
        };
        let argv = command(&self.direction.filled(undo));
        let by_hand = |problem: Problem| problem.hint(format!("take {name} back by hand: {argv}"));
        let undone = self.run(undo).await;
        if !undone.succeeded() {
            return Ended::badly(State::Stays, by_hand(failure(name, "could not be taken back", &undone)));
        }
        let is_not_done = |outcome: &CommandOutcome| checks::meaning(outcome) == Said::NotDone;
        match self.until(check, is_not_done, false).await {
            Ok(()) => Ended::well(State::TakenBack, "taken back"),
            Err(problem) => {
                let still =
                    |last: CommandOutcome| failure(name, "was taken back, and its check does not say so", &last);
                Ended::badly(State::Stays, by_hand(problem.unwrap_or_else(still)))
            }
        }
    }

    /// Runs a command again and again until its end is what is wanted. The error is the last end, or an interrupt where that is
    /// heeded.
    async fn until(
        &self,
        argv: &[String],
        is_wanted: impl Fn(&CommandOutcome) -> bool,
        heeds_interrupts: bool,
    ) -> Result<(), Result<Problem, CommandOutcome>> {
        let deadline = Instant::now() + self.step.verify_timeout;
        loop {
            let outcome = self.run(argv).await;
            if is_wanted(&outcome) {
                return Ok(());
            }
            if heeds_interrupts && self.interrupt.is_requested() {
                return Err(Ok(Problem::interrupted(format!("while {} was awaited", self.step.name))));
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(Err(outcome));
            }
            sleep(PAUSE).await;
        }
    }

    async fn run(&self, argv: &[String]) -> CommandOutcome {
        exec::run(&self.direction.filled(argv), &[], self.step.timeout).await
    }
}

/// A step's command that did not end as it should.
fn failure(step: &str, what: &str, outcome: &CommandOutcome) -> Problem {
    let kind = if outcome.timed_out { Kind::TimedOut } else { Kind::Failed };
    let told = outcome.output.len().saturating_sub(TOLD);
    Problem::new(kind, format!("{step} {what}: {}: {}", command(&outcome.argv), outcome.how()))
        .details(outcome.output[told..].iter().map(|line| format!("  {line}")))
}
