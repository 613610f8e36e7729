//! What has happened so far, and what it amounts to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    drain::MovedPod,
    exit::Exit,
    plan::Target,
    problem::{Kind, Problem},
    rebalance::Moved,
    steps::Progress,
};

/// How an operation ended and where it left things.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub exit: Exit,
    /// Why it is not done.
    pub problem: Option<Problem>,
    /// Turns that are done.
    pub done: Vec<Target>,
    /// Turns that began and are not done: what they had changed is taken back, as far as it can be.
    pub failed: Vec<Target>,
    /// Turns that did not begin, or have left no trace.
    pub untouched: Vec<Target>,
    /// The machine that was told to reboot and not proved to be back.
    pub in_doubt: Option<String>,
    /// Pods that were moved, by the machine they left.
    #[serde(skip)]
    pub moved: BTreeMap<String, Vec<MovedPod>>,
    /// Pods that were moved to machines.
    #[serde(skip)]
    pub relocated: Vec<Moved>,
}

impl Outcome {
    /// That of an operation of which no turn began.
    pub(crate) fn not_begun(problem: Problem) -> Self {
        let mut account = Account::default();
        account.stop(problem);
        account.close()
    }

    /// All turns that are not done, the failed ones first.
    pub fn left(&self) -> impl Iterator<Item = &Target> + Clone {
        self.failed.iter().chain(&self.untouched)
    }
}

#[derive(Default)]
pub(super) struct Account {
    done: Vec<Target>,
    failed: Vec<Target>,
    untouched: Vec<Target>,
    moved: BTreeMap<String, Vec<MovedPod>>,
    relocated: Vec<Moved>,
    in_doubt: Option<String>,
    /// Why no more turns begin.
    stop: Option<Problem>,
}

impl Account {
    pub(super) fn may_go_on(&self) -> bool {
        self.stop.is_none()
    }

    pub(super) fn ended(&mut self, target: Target, progress: Progress, result: Result<(), Problem>) {
        if progress.reboot_requested && result.is_err() {
            self.in_doubt = Some(target.machine().to_owned());
        }
        if !progress.moved.is_empty() {
            self.moved.insert(target.machine().to_owned(), progress.moved);
        }
        self.relocated.extend(progress.relocated);
        match result {
            Ok(()) => self.done.push(target),
            Err(problem) => {
                self.failed.push(target);
                self.stop(problem);
            }
        }
    }

    /// A turn that has left no trace, unless it could not be taken back.
    pub(super) fn untouched(&mut self, target: Target, problem: Option<Problem>) {
        self.untouched.push(target);
        if let Some(problem) = problem {
            self.stop(problem);
        }
    }

    /// No more turns begin. The first reason is the operation's; failures that follow are told with it.
    pub(super) fn stop(&mut self, problem: Problem) {
        match &mut self.stop {
            None => self.stop = Some(problem),
            // Each turn under way is stopped for the same reason.
            Some(first) if problem.kind == Kind::Interrupted || problem.message == first.message => {}
            Some(first) => first.and(problem),
        }
    }

    pub(super) fn close(self) -> Outcome {
        let Self { done, failed, untouched, moved, relocated, in_doubt, stop: problem } = self;
        let exit = match &problem {
            None => Exit::Done,
            Some(problem) => match problem.exit() {
                Exit::Refused | Exit::Failed if !done.is_empty() => Exit::Partly,
                exit => exit,
            },
        };
        Outcome { exit, problem, done, failed, untouched, in_doubt, moved, relocated }
    }
}
