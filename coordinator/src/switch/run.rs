//! The loop: what comes next, done, until nothing does.

use tokio::time::Instant;
use usher_core::staging::{Direction, Next, Staging, State, next};

use super::{
    Event, Voice,
    report::{Outcome, StepReport},
    step::{Ended, OneStep},
};
use crate::{
    cluster::Lock,
    interrupt::Interrupt,
    problem::{Kind, Problem},
};

/// The steps of one switch, under its locks.
pub(super) struct Run<'a> {
    pub(super) staging: &'a Staging,
    pub(super) direction: &'a Direction,
    pub(super) locks: &'a [Lock],
    pub(super) interrupt: &'a Interrupt,
    pub(super) voice: &'a Voice<'a>,
}

impl Run<'_> {
    pub(super) async fn to_end(&self) -> Outcome {
        let mut steps: Vec<_> =
            self.staging.steps.iter().map(|step| StepReport::waiting(step, self.direction)).collect();
        let mut problem: Option<Problem> = None;
        loop {
            let states: Vec<_> = steps.iter().map(|step| step.state).collect();
            let begun = Instant::now();
            let (at, ended) = match next(&states, problem.is_some()) {
                Next::End => break,
                Next::Do(at) => {
                    if let Some(stop) = self.stop_before(&steps[at].name) {
                        problem = Some(stop);
                        continue;
                    }
                    self.begins(at, &steps[at].says, false);
                    (at, self.one(at).done().await)
                }
                Next::TakeBack(at) => {
                    self.begins(at, &steps[at].says, true);
                    (at, self.one(at).taken_back().await)
                }
            };
            steps[at].took += begun.elapsed();
            let Ended { state, told, problem: failure } = ended;
            (self.voice.tell)(&Event::StepEnded {
                step: steps[at].name.clone(),
                state,
                facts: told.clone(),
                problem: failure.as_ref().map(|failure| failure.message.clone()),
            });
            steps[at].state = state;
            steps[at].facts.extend(told);
            if let Some(failure) = failure {
                match &mut problem {
                    None => problem = Some(failure),
                    Some(first) => first.and(failure),
                }
            }
        }
        // A refusal promises that nothing was changed.
        if let Some(problem) = &mut problem
            && problem.kind == Kind::Refused
            && steps.iter().any(|step| matches!(step.state, State::TakenBack | State::Stays))
        {
            problem.kind = Kind::Failed;
        }
        Outcome { steps, problem }
    }

    fn begins(&self, at: usize, says: &str, takes_back: bool) {
        let (number, of) = (at + 1, self.staging.steps.len());
        let (step, says) = (self.staging.steps[at].name.clone(), says.to_owned());
        (self.voice.tell)(&Event::StepBegan { step, number, of, takes_back, says });
    }

    fn one(&self, at: usize) -> OneStep<'_> {
        let Self { staging, direction, interrupt, voice, .. } = self;
        OneStep { step: &staging.steps[at], direction, interrupt, voice }
    }

    /// Why no step may begin any more, if so.
    fn stop_before(&self, step: &str) -> Option<Problem> {
        if self.interrupt.is_requested() {
            return Some(Problem::interrupted(format!("before {step} was begun")));
        }
        self.locks.iter().any(|lock| !lock.is_held()).then(|| {
            Problem::failed("a cluster's lock was lost: another operation may have begun")
                .hint(format!("see who holds it: usher status --cluster {}", self.direction.to.name))
        })
    }
}
