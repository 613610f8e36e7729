//! `usher agent`: break-glass, from the addresses in the cluster file.

use clap::Subcommand;

use super::{
    change::ChangeFlags,
    exits::{LOOKS, ONE_AGENT, exits},
};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Show what an agent says of its machine, its operations included.
    #[command(after_long_help = exits(&LOOKS, ""))]
    Status {
        /// The machine.
        node: String,
    },
    /// Show the units that an agent manages.
    #[command(after_long_help = exits(&LOOKS, ""))]
    Units {
        /// The machine.
        node: String,
    },
    /// Show what callers asked of a machine and how its agent answered, newest first.
    #[command(after_long_help = exits(&LOOKS, ""))]
    Audit {
        /// The machine.
        node: String,
        /// At most this many records.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Restart one unit on one machine, without lock, order or leader.
    #[command(after_long_help = exits(&ONE_AGENT, ""))]
    Restart {
        /// The machine.
        node: String,
        /// A component of the cluster file, or a unit.
        unit: String,
        #[command(flatten)]
        change: ChangeFlags,
    },
    /// End an operation that only waits, for a probe or for a reboot that was asked for, so that the machine is free for another.
    ///
    /// What it had asked for is not taken back, and may still happen.
    #[command(after_long_help = exits(&ONE_AGENT, ""))]
    Cancel {
        /// The machine.
        node: String,
        /// The operation's id, as `usher agent status` shows it.
        operation: String,
        #[command(flatten)]
        change: ChangeFlags,
    },
    /// Reboot one machine, without cordon or drain.
    #[command(after_long_help = exits(&ONE_AGENT, ""))]
    Reboot {
        /// The machine.
        node: String,
        /// Reboot in spite of this inhibitor (by name) or logged-in user (user:NAME); may be repeated.
        #[arg(long, value_name = "NAME")]
        override_blocker: Vec<String>,
        #[command(flatten)]
        change: ChangeFlags,
    },
}
