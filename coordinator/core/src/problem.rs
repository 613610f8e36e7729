//! Why something was not done: one type for refusals, failures and time limits, so that each is told in one way.

use serde::{Deserialize, Serialize};

use usher_common::{chain, config_file::FileError};

use crate::exit::Exit;

/// What kind of end a problem is; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The command line or the cluster file is wrong.
    Usage,
    /// A gate or an agent forbade it before anything was changed.
    Refused,
    /// Another operation holds the cluster's lock.
    Locked,
    /// It was tried and failed.
    Failed,
    /// A deadline passed.
    TimedOut,
    /// What became of a machine is not known.
    Unknown,
    /// The operator interrupted it.
    Interrupted,
}

/// What happened, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    pub kind: Kind,
    /// What happened, in one sentence without a full stop.
    pub message: String,
    /// More about it, a line each: a journal, blocked pods, failed checks.
    pub details: Vec<String>,
    /// What to do next, a line each; commands can be pasted into a shell.
    pub hints: Vec<String>,
}

impl Problem {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new(), hints: Vec::new() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(Kind::TimedOut, message)
    }

    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message)
    }

    /// Adds a line of detail.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds lines of detail.
    #[must_use]
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.hints.push(line.into());
        self
    }

    /// Adds lines of what to do next.
    #[must_use]
    pub fn hints(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(lines);
        self
    }

    /// Suggests the name that was probably meant, if one is known.
    #[must_use]
    pub fn meant(mut self, name: Option<&str>) -> Self {
        self.hints.extend(name.map(|name| format!("did you mean {name}?")));
        self
    }

    /// Another problem that came on top of this one, such as a step that could not be taken back: its sentence and details
    /// become details, its hints are kept. A refusal and an interrupt promise that nothing is left half changed; they become
    /// failures.
    pub fn and(&mut self, other: Self) {
        if matches!(self.kind, Kind::Refused | Kind::Interrupted) {
            self.kind = Kind::Failed;
        }
        self.details.push(other.message);
        self.details.extend(other.details);
        self.hints.extend(other.hints);
    }

    /// How a command ends that has this problem and has done nothing else.
    pub fn exit(&self) -> Exit {
        match self.kind {
            Kind::Usage => Exit::Usage,
            Kind::Refused => Exit::Refused,
            Kind::Locked => Exit::Locked,
            Kind::Failed => Exit::Failed,
            Kind::TimedOut | Kind::Unknown => Exit::TimedOut,
            Kind::Interrupted => Exit::Interrupted,
        }
    }

    /// The problem for people: its sentence, then details and hints, indented, then the exit code.
    pub fn to_text(&self) -> String {
        let word = match self.kind {
            Kind::Refused | Kind::Locked => "refused",
            Kind::TimedOut => "timed out",
            Kind::Unknown => "unknown",
            Kind::Interrupted => "interrupted",
            Kind::Usage | Kind::Failed => "error",
        };
        let mut lines = vec![format!("{word}: {}", self.message)];
        lines.extend(self.exit().ending(&self.details, &self.hints));
        lines.join("\n")
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        Self::usage(chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_that_nothing_was_changed_and_a_failure_does_not() {
        let held = Problem::refused("w1 is held").detail("since 12:00").hint("ssh w1 rm /etc/usher/hold");
        assert_eq!(
            held.to_text(),
            "refused: w1 is held\n  since 12:00\n  ssh w1 rm /etc/usher/hold\nnothing was changed (exit 3)"
        );
        assert_eq!(Problem::timed_out("w1 is away").to_text(), "timed out: w1 is away\n(exit 5)");
    }

    #[test]
    fn a_refusal_after_which_something_could_not_be_taken_back_is_a_failure() {
        let mut problem = Problem::refused("3 pods on w3 can never be evicted");
        problem.and(Problem::failed("w1 may still be cordoned").hint("usher uncordon w1 -r REASON"));
        assert_eq!(problem.exit(), Exit::Failed);
        assert_eq!((problem.details, problem.hints.len()), (vec!["w1 may still be cordoned".to_owned()], 1));
    }
}
