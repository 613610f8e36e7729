//! How `usher` ends: one exit code for each kind of end, for scripts.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// The kinds of end, as documented in `usher --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// It failed; what was changed is said.
    Failed = 1,
    /// The command line or the cluster file is wrong; nothing was contacted.
    Usage = 2,
    /// A check forbade it before anything was changed.
    Refused = 3,
    /// Some of it is done, the rest was not touched.
    Partly = 4,
    /// A deadline passed, or the state of a machine is unknown.
    TimedOut = 5,
    /// Another operation holds the cluster's lock.
    Locked = 6,
    /// The operator interrupted it.
    Interrupted = 130,
}

impl Exit {
    /// All of them, by code.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Partly,
        Self::TimedOut,
        Self::Locked,
        Self::Interrupted,
    ];

    /// In a few words, for the help.
    pub fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused (nothing changed)",
            Self::Partly => "partly done",
            Self::TimedOut => "timed out or unknown",
            Self::Locked => "the lock is held",
            Self::Interrupted => "interrupted",
        }
    }

    /// In whole sentences, for the reference.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Everything is done that was asked for.",
            Self::Failed => "A step failed. The report says what was changed, what was taken back and what was not.",
            Self::Usage => {
                "The command line, the cluster file, the kubeconfig or a certificate is wrong. Nothing was changed."
            }
            Self::Refused => "A gate or an agent refused, or you did not confirm. Nothing was changed.",
            Self::Partly => "Some machines are done, the rest were not touched. The report prints how to go on.",
            Self::TimedOut => "A deadline passed, or the state of a machine is unknown.",
            Self::Locked => "Another operation holds the cluster's lock. Nothing was changed.",
            Self::Interrupted => "You interrupted it. The step under way was taken back where it could be.",
        }
    }

    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Whether it promises that nothing was changed.
    pub fn changed_nothing(self) -> bool {
        matches!(self, Self::Refused | Self::Locked)
    }

    /// What the last line of a command says that did not end well: `nothing was changed (exit 3)`.
    pub fn last_line(self) -> String {
        let nothing = if self.changed_nothing() { "nothing was changed " } else { "" };
        format!("{nothing}(exit {})", self.code())
    }

    /// How a text ends that tells of a command: details and what to do next, indented, then [`Self::last_line`] unless all is done.
    pub fn ending(self, details: &[String], next: &[String]) -> Vec<String> {
        let mut lines: Vec<_> = details.iter().chain(next).map(|line| format!("  {line}")).collect();
        if self != Self::Done {
            lines.push(self.last_line());
        }
        lines
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
