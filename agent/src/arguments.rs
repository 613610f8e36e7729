//! The command line of `usher-agent`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

const EXIT_CODES: &str = "\
Exit codes: 0 done or noted, 1 failed (the agent does not answer, or the unit was restarted and is not well), 2 usage, 3 refused \
(nothing changed), 5 timed out (still wanted).";

/// The agent of usher: restarts this node's units and reboots it, for callers on its allow-list.
///
/// Without a command it is the agent. With one, root on the node asks the agent that runs.
#[derive(Debug, Parser)]
#[command(name = "usher-agent", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/usher/agent.toml")]
    pub config: PathBuf,
    /// Say what is wrong with the configuration, and exit.
    ///
    /// As root it also says which files the user usher-agent cannot read, by their owners, groups and modes.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "files")]
    pub check_config: Option<Check>,
    /// Write the contract as a protobuf FileDescriptorSet to stdout, and exit.
    ///
    /// With it, clients that know no .proto file can call the agent: `grpcurl -protoset FILE`.
    #[arg(long, conflicts_with = "check_config")]
    pub descriptor_set: bool,
    /// What root asks of the agent that runs.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What `--check-config` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// The configuration alone: before certificates and keys are there.
    Syntax,
    /// The configuration, the files that it names, and the state directory.
    Files,
}

/// What the node's own root asks of the agent, over its Unix socket.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what the agent says of this node.
    #[command(after_help = EXIT_CODES)]
    Status {
        #[command(flatten)]
        socket: Socket,
        /// How to print it.
        #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
        output: Output,
    },
    /// Ask for the restart of a unit, to be done under the cluster's lock.
    ///
    /// Nothing is restarted by this: the agent notes the request, `usher status` shows it, and `usher restart --wanted` does it,
    /// one node at a time and the leader last. A restart by anybody else settles it as well. For Puppet, the renewal of
    /// certificates, and whatever else would restart the unit by itself.
    #[command(after_help = EXIT_CODES)]
    RequestRestart(RequestRestart),
    /// Take back all requests to restart a unit.
    #[command(after_help = EXIT_CODES)]
    WithdrawRestart {
        /// The unit; .service may be left out.
        unit: String,
        /// Why.
        #[arg(short, long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        asker: Asker,
    },
    /// Hold the node back: neither restarts nor a reboot through the agent.
    #[command(subcommand)]
    Hold(Hold),
}

/// Where the agent listens for root.
#[derive(Debug, Args)]
pub struct Socket {
    /// The agent's Unix socket, `socket` in its configuration.
    #[arg(long = "socket", value_name = "PATH", default_value = "/run/usher-agent/agent.sock")]
    pub path: PathBuf,
}

/// Who asks.
#[derive(Debug, Args)]
pub struct Asker {
    /// Who asks, for the records; by default you, as user@host.
    #[arg(long, value_name = "NAME")]
    pub requester: Option<String>,
    #[command(flatten)]
    pub socket: Socket,
}

/// The request for a restart.
#[derive(Debug, Args)]
pub struct RequestRestart {
    /// The unit; .service may be left out.
    pub unit: String,
    /// Why: shown to the operators, and recorded.
    #[arg(short, long, value_name = "TEXT")]
    pub reason: String,
    /// Wait until the unit has been restarted and is well.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait. The request stays when the time is over.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = humantime::parse_duration, requires = "wait")]
    pub timeout: Duration,
    /// If the agent's configuration says that this node is its cluster's only control plane, let the agent restart the unit itself.
    #[arg(long)]
    pub if_sole: bool,
    #[command(flatten)]
    pub asker: Asker,
}

/// Holds.
#[derive(Debug, Subcommand)]
pub enum Hold {
    /// Hold the node in an owner's name. It replaces the owner's hold, and no other.
    #[command(after_help = EXIT_CODES)]
    Set {
        /// Whose hold it is.
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// Why: shown to those who are held back.
        #[arg(short, long, value_name = "TEXT")]
        reason: String,
        /// How long it lasts; without this and --until, until it is released.
        #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "until")]
        lasts: Option<Duration>,
        /// When it ends, as 2026-12-01T08:00:00Z.
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        #[command(flatten)]
        asker: Asker,
    },
    /// End an owner's hold.
    #[command(after_help = EXIT_CODES)]
    Release {
        /// Whose hold it is.
        #[arg(long, value_name = "NAME")]
        owner: String,
        #[command(flatten)]
        asker: Asker,
    },
}

/// How something is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_the_agent_itself_is_started_without_a_command() {
        Arguments::command().debug_assert();
        let agent = Arguments::try_parse_from(["usher-agent", "--config", "/x"]).unwrap();
        assert!(agent.command.is_none() && agent.config.ends_with("x"));
        assert!(Arguments::try_parse_from(["usher-agent", "--check-config", "status"]).is_err());
        assert!(Arguments::try_parse_from(["usher-agent", "--check-config", "--descriptor-set"]).is_err());
        let asked = ["usher-agent", "request-restart", "kube-apiserver", "--reason", "x"];
        assert!(Arguments::try_parse_from(asked).is_ok());
        assert!(Arguments::try_parse_from(asked.iter().chain(&["--timeout", "1h"])).is_err(), "of what?");
        assert!(Arguments::try_parse_from(["usher-agent", "hold", "set", "--owner", "a"]).is_err(), "why?");
    }
}
