//! `usher helmfile`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::{duration, service};

pub(super) const EXAMPLES: &str = "\
Exit codes: 0 all are rolled, 1 helmfile failed or rolled nothing, 3 a check forbade it, 4 some are rolled, 5 helmfile took too long.

Examples:
  usher helmfile roll mathoid --cluster codfw
  usher helmfile roll mathoid blubber -e codfw --dry-run
  usher helmfile roll mathoid --cluster codfw --user deploy --yes";

#[derive(Debug, Subcommand)]
pub(crate) enum HelmfileCommand {
    /// Replace the pods of services by the rolling restart of their helmfiles, one service after the other.
    #[command(after_long_help = EXAMPLES)]
    Roll(HelmfileRoll),
}

/// `usher helmfile roll`.
#[derive(Debug, Args)]
pub(crate) struct HelmfileRoll {
    /// The services, in the order in which they are rolled; each has its helmfile in the folder `helmfile.folder`.
    #[arg(required = true, value_name = "SERVICE", value_parser = service)]
    pub(crate) services: Vec<String>,
    /// Environment of the helmfiles; by default the cluster's name, or the first of its aliases that they know.
    #[arg(short, long, value_name = "NAME", value_parser = service)]
    pub(crate) environment: Option<String>,
    /// How long helmfile may take for one service, 0 for as long as it likes; by default `helmfile.timeout` of the cluster file.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Make all checks, print what would be run, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

    #[test]
    fn a_service_is_one_word_of_a_path_and_there_is_at_least_one() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["usher", "helmfile", "roll"], words].concat());
        assert!(parse(&["mathoid", "api-gateway", "v1.2_x", "-e", "codfw"]).is_ok());
        for wrong in [&[][..], &["../etc"], &["a/b"], &[""], &[".hidden"], &["a b"], &["web", "-e", "--yes"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
