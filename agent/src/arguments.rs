//! The command line of `usher-agent`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// The agent of usher: restarts this node's units and reboots it, for callers on its allow-list.
#[derive(Debug, Parser)]
#[command(name = "usher-agent", version)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/usher/agent.toml")]
    pub config: PathBuf,
    /// Say what is wrong with the configuration, and exit.
    ///
    /// As root it also says which files the user usher-agent cannot read, by their owners, groups and modes.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "files")]
    pub check_config: Option<Check>,
}

/// What `--check-config` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// The configuration alone: before certificates and keys are there.
    Syntax,
    /// The configuration, the files that it names, and the state directory.
    Files,
}
