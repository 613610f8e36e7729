//! The last lines of a unit's journal, for the operator who has to fix it.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// How many lines. Units log last what made them fail, and more would not fit a terminal.
const LINES: &str = "20";

/// How long journalctl may take. With a large journal on a busy disk it takes seconds.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Longer lines are truncated to this many bytes: a component may log a whole object in one.
const LINE_LIMIT: usize = 1000;

/// The journal, as journalctl reads it. The agent's user must be in the group `systemd-journal`.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    journalctl: PathBuf,
}

impl Journal {
    pub(crate) fn new(journalctl: PathBuf) -> Self {
        Self { journalctl }
    }

    /// The unit's last lines in this boot, oldest first. If they cannot be read, the only line says why.
    pub(crate) async fn last_lines(&self, unit: &str) -> Vec<String> {
        #[allow(clippy::disallowed_methods)] // systemd offers the journal no other way without privileges
        let mut command = Command::new(&self.journalctl);
        command
            .args(["--unit", unit, "--lines", LINES, "--boot", "--output", "short-iso", "--no-hostname"])
            .args(["--no-pager", "--quiet"])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match timeout(READ_WITHIN, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return vec![format!("the journal could not be read: {error}")],
            Err(_) => return vec![format!("the journal could not be read within {} s", READ_WITHIN.as_secs())],
        };
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return vec![format!("the journal could not be read: {}", message.trim())];
        }
        String::from_utf8_lossy(&output.stdout).lines().map(shortened).collect()
    }
}

fn shortened(line: &str) -> String {
    if line.len() <= LINE_LIMIT {
        return line.to_owned();
    }
    // A character may lie across the limit.
    let end = (0..=LINE_LIMIT).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_bytes_and_never_within_a_character() {
        assert_eq!(shortened(&"x".repeat(LINE_LIMIT)).len(), LINE_LIMIT);
        for long in ["x".repeat(5000), "é".repeat(5000), "𝄞".repeat(5000), format!("x{}", "€".repeat(5000))] {
            let cut = shortened(&long);
            assert!(cut.len() <= LINE_LIMIT + '…'.len_utf8(), "{} bytes", cut.len());
            assert!(cut.ends_with('…') && long.starts_with(cut.trim_end_matches('…')));
        }
    }
}
