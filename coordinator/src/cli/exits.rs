//! How each command can end: its exit codes, above the examples in its help.

use crate::exit::Exit::{self, Done, Failed, Interrupted, Locked, Partly, Refused, TimedOut, Usage};

/// A command that asks nobody: it reads and writes files of this host.
pub(super) const FILES: [Exit; 3] = [Done, Failed, Usage];

/// One that also refuses: a cluster that is another than its file says, a file that is there already.
pub(super) const CLUSTERS: [Exit; 4] = [Done, Failed, Usage, Refused];

/// One that looks at a cluster or an agent, and one that says whether something may be begun.
pub(super) const LOOKS: [Exit; 5] = [Done, Failed, Usage, Refused, TimedOut];

/// One that changes a single machine through its agent, past the lock.
pub(super) const ONE_AGENT: [Exit; 5] = LOOKS;

/// One that waits for workloads, or changes them; their controllers need no lock.
pub(super) const WORKLOADS: [Exit; 7] = [Done, Failed, Usage, Refused, Partly, TimedOut, Interrupted];

/// A switch between two clusters: under both locks, and taken back as a whole.
pub(super) const SWITCH: [Exit; 7] = [Done, Failed, Usage, Refused, TimedOut, Locked, Interrupted];

/// Why the command of another tool was not run under the lock.
const NOT_RUN: [Exit; 4] = [Failed, Usage, Refused, Locked];

/// The exit codes of a change of machines, above its examples.
pub(super) fn of_a_change(examples: &str) -> String {
    exits(&Exit::ALL, examples)
}

/// The exit codes of a command, above its examples if it has any.
pub(super) fn exits(codes: &[Exit], examples: &str) -> String {
    let codes = format!("Exit codes: {}.", listed(codes));
    if examples.is_empty() { codes } else { format!("{codes}\n\n{examples}") }
}

/// Those of a command that ends as another tool's does.
pub(super) fn of_a_run() -> String {
    format!("Exit codes: the command's own; if it was not run: {}.", listed(&NOT_RUN))
}

fn listed(codes: &[Exit]) -> String {
    codes.iter().map(|exit| format!("{} {}", exit.code(), exit.label())).collect::<Vec<_>>().join(", ")
}
