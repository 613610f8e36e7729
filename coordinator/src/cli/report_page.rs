//! `usher report`.

use std::path::PathBuf;

use clap::Args;

pub(super) const EXAMPLES: &str = "\
Examples:
  usher reboot w1 w2 -r 'kernel' --yes --progress=json 2> roll.jsonl
  usher report roll.jsonl
  usher report roll.jsonl --to /srv/reports/roll.html
  journalctl -o cat -u nightly-roll | usher report - > roll.html";

/// `usher report`.
#[derive(Debug, Args)]
pub(crate) struct ReportPage {
    /// What --progress=json wrote, or a report of -o json, or both; - for standard input.
    pub(crate) file: PathBuf,
    /// Where to write the page; - for standard output. By default FILE.html; for standard input, standard output.
    #[arg(long, value_name = "HTML")]
    pub(crate) to: Option<PathBuf>,
    /// The operation to show, if the file holds several; by default the last one.
    #[arg(long, value_name = "ID")]
    pub(crate) operation: Option<String>,
}
