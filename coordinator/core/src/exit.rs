//! How `usher` ends: one exit code for each kind of end, for scripts.

use std::process::ExitCode;

use serde::Serialize;

/// The kinds of end, as documented in `usher --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
