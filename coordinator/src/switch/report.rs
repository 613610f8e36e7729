//! What a switch did, and where it left things.

use std::time::Duration;

use serde::Serialize;
use usher_core::staging::{Direction, Finding, State, Step};

use crate::{exit::Exit, problem::Problem, text};

/// How a run ended.
pub(super) struct Outcome {
    pub(super) steps: Vec<StepReport>,
    pub(super) problem: Option<Problem>,
}

/// One step of the report.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    pub name: String,
    /// What is true once it is done.
    pub says: String,
    pub state: State,
    /// What was brought about, with the evidence.
    pub facts: Vec<String>,
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
}

impl StepReport {
    pub(super) fn waiting(step: &Step, direction: &Direction) -> Self {
        Self {
            name: step.name.clone(),
            says: direction.fill(&step.says),
            state: State::Waiting,
            facts: Vec::new(),
            took: Duration::ZERO,
        }
    }
}

/// The report of a switch; `-o json` prints it as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SwitchReport {
    /// The operation's id.
    pub operation: String,
    pub from: String,
    pub to: String,
    pub exit: Exit,
    pub exit_code: u8,
    /// What state things are in, in one sentence.
    pub summary: String,
    pub details: Vec<String>,
    /// What to do next; commands can be pasted into a shell.
    pub next: Vec<String>,
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
    pub steps: Vec<StepReport>,
    /// What was looked at before.
    pub findings: Vec<Finding>,
}

impl SwitchReport {
    pub(super) fn of(
        operation: &str,
        direction: &Direction,
        Outcome { steps, problem }: Outcome,
        findings: Vec<Finding>,
        took: Duration,
    ) -> Self {
        let (from, to) = (direction.from.name.clone(), direction.to.name.clone());
        let exit = problem.as_ref().map_or(Exit::Done, Problem::exit);
        let summary = match &problem {
            None => format!("{to} is the active staging cluster, after {}", text::took(took)),
            Some(problem) => format!("{}: {} ({})", word(exit), problem.message, left(&steps, &from)),
        };
        let (details, next) = problem.map(|problem| (problem.details, problem.hints)).unwrap_or_default();
        Self {
            operation: operation.to_owned(),
            from,
            to,
            exit,
            exit_code: exit.code(),
            summary,
            details,
            next,
            took,
            steps,
            findings,
        }
    }

    /// Whether some steps are done for the one cluster and some for the other.
    pub fn is_between(&self) -> bool {
        let stands = self.steps.iter().any(|step| is_left_done(step.state));
        self.exit != Exit::Done && stands
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        lines.extend(self.exit.ending(&self.details, &self.next));
        lines.join("\n")
    }
}

fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Refused => "refused",
        Exit::Interrupted => "interrupted",
        Exit::TimedOut => "timed out",
        _ => "stopped",
    }
}

/// What the steps were left at.
fn left(steps: &[StepReport], from: &str) -> String {
    let names = |wanted: fn(State) -> bool| -> Vec<&str> {
        steps.iter().filter(|step| wanted(step.state)).map(|step| step.name.as_str()).collect()
    };
    let found = names(|state| state == State::Found);
    let back = names(|state| state == State::TakenBack);
    let stay = names(|state| state == State::Stays);
    let mut parts = Vec::new();
    if !back.is_empty() {
        parts.push(format!("taken back: {}", back.join(", ")));
    }
    if !stay.is_empty() {
        parts.push(format!("NOT taken back: {}", stay.join(", ")));
    }
    if !found.is_empty() {
        parts.push(format!("left as it was found, done: {}", found.join(", ")));
    }
    if stay.is_empty() && found.is_empty() {
        parts.push(format!("{from} is the active one as before"));
    }
    parts.join("; ")
}

fn is_left_done(state: State) -> bool {
    matches!(state, State::Found | State::Stays)
}
