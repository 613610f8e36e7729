//! The command line of `usher-agent`.

use std::path::PathBuf;

use clap::Parser;

/// The agent of usher: restarts this node's units and reboots it, for callers on its allow-list.
#[derive(Debug, Parser)]
#[command(name = "usher-agent", version)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/usher/agent.toml")]
    pub config: PathBuf,
    /// Say what is wrong with the configuration and the files it names, and exit.
    #[arg(long)]
    pub check_config: bool,
}
