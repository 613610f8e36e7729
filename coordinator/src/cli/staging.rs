//! `usher staging`.

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser as _};
use usher_core::staging::Look;

use super::{
    change::reason,
    exits::{FILES, SWITCH, exits},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  usher staging status
  usher staging switch staging-codfw --dry-run
  usher staging switch staging-codfw -r 'reimage of staging-eqiad' -t T400123
  usher staging switch staging-codfw -r 'staging-eqiad is down' --ignore versions,missing,images";

#[derive(Debug, Subcommand)]
pub(crate) enum StagingCommand {
    /// Show which staging cluster is the active one, step by step; asks no cluster, only the site's own checks.
    #[command(after_long_help = exits(&FILES, ""))]
    Status,
    /// Make a staging cluster the active one, by the site's own steps; on failure they are taken back.
    #[command(after_long_help = exits(&SWITCH, EXAMPLES))]
    Switch(Switch),
}

/// `usher staging switch`.
#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// The cluster that becomes the active one, by name or alias.
    pub(crate) name: String,
    /// Switch although this look at the cluster finds something; may be repeated.
    #[arg(long, value_name = "LOOK", value_delimiter = ',', value_parser = looks())]
    pub(crate) ignore: Vec<Look>,
    /// Why: recorded in the locks of both clusters, and given to the site's commands as {reason}.
    #[arg(short, long, value_name = "TEXT", required_unless_present = "dry_run", value_parser = reason)]
    pub(crate) reason: Option<String>,
    /// The ticket that this belongs to.
    #[arg(short, long, value_name = "ID")]
    pub(crate) task_id: Option<String>,
    /// Print the steps, and what stands against them, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation, of single steps neither.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

fn looks() -> impl clap::builder::TypedValueParser<Value = Look> {
    PossibleValuesParser::new(Look::ALL.map(Look::word))
        .try_map(|word| Look::of(&word).ok_or_else(|| format!("{word} is no look")))
}
