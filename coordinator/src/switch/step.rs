//! One step: checked, applied and proved, or taken back and proved.

use tokio::time::{Instant, sleep};
use usher_core::staging::{Direction, Said, State, Step};

use super::{Event, Voice, checks};
use crate::{
    exec::{self, CommandOutcome},
    interrupt::Interrupt,
    problem::{Kind, Problem},
    text::{command, took},
    wait::{Look, until},
};

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
        let late = |last| {
            let what = format!("does not have its effect within {}", took(self.step.verify_timeout));
            failure(name, &what, &last)
        };
        if let Err(problem) = self.until(proof, CommandOutcome::succeeded, true, late).await {
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
        let late = |last| failure(name, "was taken back, and its check does not say so", &last);
        match self.until(check, is_not_done, false, late).await {
            Ok(()) => Ended::well(State::TakenBack, "taken back"),
            Err(problem) => Ended::badly(State::Stays, by_hand(problem)),
        }
    }

    /// Runs a command again and again until its end is what is wanted. The problem is an interrupt, where that is heeded, or what
    /// `late` makes of the last end.
    async fn until(
        &self,
        argv: &[String],
        is_wanted: impl Fn(&CommandOutcome) -> bool,
        heeds_interrupts: bool,
        late: impl FnOnce(CommandOutcome) -> Problem,
    ) -> Result<(), Problem> {
        let look = async || match self.run(argv).await {
            outcome if is_wanted(&outcome) => Ok(Look::Done(())),
            _ if heeds_interrupts && self.interrupt.is_requested() => {
                Err(Problem::interrupted(format!("while {} was awaited", self.step.name)))
            }
            outcome => Ok(Look::NotYet(outcome)),
        };
        until(self.step.verify_timeout, look, |_| {}, late).await
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
