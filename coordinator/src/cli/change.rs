//! Flags of everything that changes something.

use clap::{Args, ValueEnum};

/// Why something is changed, and whether it really is.
#[derive(Debug, Args)]
pub(crate) struct ChangeFlags {
    /// Why: recorded in the lock, the node's mark and each agent's journal.
    #[arg(short, long, value_name = "TEXT", required_unless_present = "dry_run", value_parser = reason)]
    pub(crate) reason: Option<String>,
    /// The ticket that this belongs to.
    #[arg(short, long, value_name = "ID")]
    pub(crate) task_id: Option<String>,
    /// Print the plan and change nothing. With `server`, drains are confirmed by evictions that the server only tries.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_value_t, default_missing_value = "client",
          require_equals = true)]
    pub(crate) dry_run: DryRun,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// How much of a change to try only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// Make the change.
    #[default]
    None,
    /// Plan it.
    Client,
    /// Plan it, and ask the server what it would answer.
    Server,
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say why, in a few words".to_owned()) } else { Ok(text.to_owned()) }
}
