//! The command line: what can be typed, and nothing of what it does.

mod eviction;

use std::{num::NonZeroU8, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::eviction::Eviction;
use crate::{output::Format, plan::AssumedLeader, progress::Progress};

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 refused (nothing changed), 4 partly done, \
5 timed out or unknown, 6 the lock is held, 130 interrupted.";

/// Restarts and reboots the machines of a Kubernetes cluster the polite way.
#[derive(Debug, Parser)]
#[command(name = "usher", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes. Those that kubectl has mean the same.
#[derive(Debug, Args)]
pub struct Global {
    /// The cluster file.
    #[arg(long, global = true, value_name = "FILE", env = "USHER_CLUSTER_FILE", help_heading = "Global options")]
    pub cluster_file: Option<PathBuf>,
    /// Format of the result.
    #[arg(short, long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub output: Format,
    /// How progress is shown on standard error.
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub progress: Progress,
    /// When to use colour; NO_COLOR is heeded too.
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub color: Color,
    /// More log lines on standard error; twice for all.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Path of the kubeconfig.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Kubernetes API")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Kubernetes API")]
    pub context: Option<String>,
    /// Cluster of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Kubernetes API")]
    pub cluster: Option<String>,
    /// User of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Kubernetes API")]
    pub user: Option<String>,
    /// URL of the API server.
    #[arg(short, long, global = true, value_name = "URL", help_heading = "Kubernetes API")]
    pub server: Option<String>,
    /// Bearer token.
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Kubernetes API")]
    pub token: Option<String>,
    /// User to impersonate.
    #[arg(long = "as", global = true, value_name = "USER", help_heading = "Kubernetes API")]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be repeated.
    #[arg(long = "as-group", global = true, value_name = "GROUP", help_heading = "Kubernetes API")]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate.
    #[arg(long = "as-uid", global = true, value_name = "UID", help_heading = "Kubernetes API")]
    pub impersonate_uid: Option<String>,
    /// CA of the API server.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Kubernetes API")]
    pub certificate_authority: Option<PathBuf>,
    /// Name that the API server's certificate must carry.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Kubernetes API")]
    pub tls_server_name: Option<String>,
    /// Do not check the API server's certificate.
    #[arg(long, global = true, help_heading = "Kubernetes API")]
    pub insecure_skip_tls_verify: bool,
    /// Give up on a single request after this time; 0 means never.
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, help_heading = "Kubernetes API")]
    pub request_timeout: Option<Duration>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show on one screen whether it is safe to begin.
    Status,
    /// Show the machines: Nodes and control plane, with what their agents say.
    Nodes,
    /// Show who leads each elected component.
    Leaders,
    /// Restart components of the control plane, the leader last.
    #[command(after_help = RESTART_EXAMPLES)]
    Restart(Restart),
    /// Reboot machines: cordon, drain, reboot, prove that they are back, uncordon.
    #[command(after_help = REBOOT_EXAMPLES)]
    Reboot(Reboot),
    /// Mark nodes as unschedulable, with usher's mark of who and why.
    Cordon(OnNodes),
    /// Mark nodes as schedulable again.
    Uncordon(OnNodes),
    /// Cordon nodes and evict their pods.
    Drain(Drain),
    /// Say what a drain of nodes would find, pod by pod, and change nothing.
    Preflight(Preflight),
    /// Talk to one agent alone; works while the Kubernetes API is down.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Look at the cluster file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script.
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the versions of usher, the API server and the agents.
    Version,
}

const RESTART_EXAMPLES: &str = "\
Examples:
  usher restart kube-scheduler -r 'new CA' --dry-run
  usher restart kube-apiserver kube-controller-manager kube-scheduler -r T400123 --yes
  usher restart kube-scheduler --nodes cp3,cp2 -r T400123";

const REBOOT_EXAMPLES: &str = "\
Examples:
  usher reboot w1 -r 'kernel 6.1.0-31'
  usher reboot -l rack=b7 -r 'firmware' -t T400123 --yes
  usher reboot w2 -r kernel --keep-cordoned";

/// Why something is changed, and whether it really is.
#[derive(Debug, Args)]
pub struct Change {
    /// Why: recorded in the lock, the node's mark and each agent's journal.
    #[arg(short, long, value_name = "TEXT", required_unless_present = "dry_run", value_parser = reason)]
    pub reason: Option<String>,
    /// The ticket that this belongs to.
    #[arg(short, long, value_name = "ID")]
    pub task_id: Option<String>,
    /// Print the plan and change nothing. With `server`, drains are confirmed by evictions that the server only tries.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_value_t, default_missing_value = "client",
          require_equals = true)]
    pub dry_run: DryRun,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub yes: bool,
}

/// How much of a change is only tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is done.
    #[default]
    None,
    /// It is planned.
    Client,
    /// It is planned, and the server is asked what it would answer.
    Server,
}

/// `usher restart`.
#[derive(Debug, Args)]
pub struct Restart {
    /// Components, restarted in this order.
    #[arg(required = true, value_name = "COMPONENT")]
    pub components: Vec<String>,
    /// Only on these control-plane machines.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// Wait between an apiserver that is ready again and the next one.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub gap: Option<Duration>,
    /// Hand over a lease that its holder would keep, instead of waiting for its expiry.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub handover: Option<bool>,
    /// Who leads a component whose leader is unknown or dead: COMPONENT=MACHINE, or COMPONENT=none.
    #[arg(long, value_name = "COMPONENT=MACHINE", value_parser = assumed_leader)]
    pub assume_leader: Vec<AssumedLeader>,
    /// See there.
    #[command(flatten)]
    pub change: Change,
}

/// Which nodes.
#[derive(Debug, Args)]
pub struct Targets {
    /// Names of nodes or control-plane machines.
    #[arg(value_name = "NODE", required_unless_present = "selector", conflicts_with = "selector")]
    pub nodes: Vec<String>,
    /// All nodes whose labels match.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
}

/// `usher cordon` and `usher uncordon`.
#[derive(Debug, Args)]
pub struct OnNodes {
    /// See there.
    #[command(flatten)]
    pub targets: Targets,
    /// See there.
    #[command(flatten)]
    pub change: Change,
}

/// `usher preflight`.
#[derive(Debug, Args)]
pub struct Preflight {
    /// See there.
    #[command(flatten)]
    pub targets: Targets,
    /// See there.
    #[command(flatten)]
    pub eviction: Eviction,
}

/// `usher drain`.
#[derive(Debug, Args)]
pub struct Drain {
    /// See there.
    #[command(flatten)]
    pub targets: Targets,
    /// How many nodes are drained at a time, once all are cordoned.
    #[arg(long, value_name = "NUMBER", default_value_t = NonZeroU8::MIN)]
    pub concurrency: NonZeroU8,
    // Before what has a heading of its own.
    /// See there.
    #[command(flatten)]
    pub change: Change,
    /// See there.
    #[command(flatten)]
    pub eviction: Eviction,
}

/// `usher reboot`.
#[derive(Debug, Args)]
pub struct Reboot {
    /// See there.
    #[command(flatten)]
    pub targets: Targets,
    /// Neither cordon nor drain: the pods die with the machine.
    #[arg(long)]
    pub impolite: bool,
    /// Reboot a node that somebody else cordoned, and leave it cordoned.
    #[arg(long)]
    pub keep_cordoned: bool,
    /// An inhibitor (by name) or a logged-in user (user:NAME) that does not count; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub override_blocker: Vec<String>,
    /// Hand over a lease that its holder would keep, instead of waiting for its expiry.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub handover: Option<bool>,
    // Before what has a heading of its own.
    /// See there.
    #[command(flatten)]
    pub change: Change,
    /// See there.
    #[command(flatten)]
    pub eviction: Eviction,
}

/// `usher agent`: break-glass, from the addresses in the cluster file.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Show what an agent says of its machine, its operations included.
    Status {
        /// The machine.
        node: String,
    },
    /// Show the units that an agent manages.
    Units {
        /// The machine.
        node: String,
    },
    /// Restart one unit on one machine, without lock, order or leader.
    Restart {
        /// The machine.
        node: String,
        /// A component of the cluster file, or a unit.
        unit: String,
        /// See there.
        #[command(flatten)]
        change: Change,
    },
    /// Reboot one machine, without cordon or drain.
    Reboot {
        /// The machine.
        node: String,
        /// An inhibitor (by name) or a logged-in user (user:NAME) that does not count; may be repeated.
        #[arg(long, value_name = "NAME")]
        override_blocker: Vec<String>,
        /// See there.
        #[command(flatten)]
        change: Change,
    },
}

/// `usher config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the cluster file, and say what usher would talk to.
    Check,
}

fn duration(text: &str) -> Result<Duration, String> {
    // kubectl takes a bare 0 for "no limit".
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| format!("{error} (examples: 30s, 5m, 1h30m)"))
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say why, in a few words".to_owned()) } else { Ok(text.to_owned()) }
}

fn assumed_leader(text: &str) -> Result<AssumedLeader, String> {
    match text.split_once('=') {
        Some((component, machine)) if !component.is_empty() && !machine.is_empty() => Ok(AssumedLeader {
            component: component.to_owned(),
            machine: (machine != "none").then(|| machine.to_owned()),
        }),
        _ => Err("write COMPONENT=MACHINE, or COMPONENT=none if none leads".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_change_needs_a_reason_but_a_dry_run_does_not() {
        assert!(Cli::try_parse_from(["usher", "restart", "kube-scheduler"]).is_err());
        assert!(Cli::try_parse_from(["usher", "restart", "kube-scheduler", "-r", " "]).is_err());
        assert!(Cli::try_parse_from(["usher", "restart", "kube-scheduler", "--dry-run"]).is_ok());
        assert!(Cli::try_parse_from(["usher", "reboot", "w1", "-r", "kernel"]).is_ok());
        assert!(Cli::try_parse_from(["usher", "drain", "w1", "--dry-run=server"]).is_ok());
        assert!(Cli::try_parse_from(["usher", "drain", "w1", "--dry-run", "--ignore-daemonsets"]).is_ok());
    }

    #[test]
    fn kubectls_flags_of_a_drain_mean_what_they_mean_there() {
        let parse = |flags: &[&str]| {
            let all = ["usher", "drain", "w1", "-r", "x"].iter().chain(flags);
            match Cli::try_parse_from(all).unwrap().command {
                Command::Drain(drain) => drain,
                other => panic!("{other:?}"),
            }
        };
        let plain = parse(&[]);
        assert!(plain.eviction.ignore_daemonsets && plain.change.dry_run == DryRun::None);
        assert_eq!((plain.eviction.grace_period, plain.eviction.chunk_size), (-1, 500));
        assert!(!parse(&["--ignore-daemonsets=false"]).eviction.ignore_daemonsets);
        assert_eq!(parse(&["--dry-run"]).change.dry_run, DryRun::Client);
        assert_eq!(parse(&["--timeout", "0"]).eviction.drain_timeout, Some(Duration::ZERO));
        assert_eq!(parse(&["--skip-wait-for-delete-timeout=30"]).eviction.skip_wait_for_delete_timeout, Some(30));
        let all =
            parse(&["--force", "--delete-emptydir-data", "--disable-eviction", "--pod-selector=a=b", "--chunk-size=0"]);
        assert!(all.eviction.force && all.eviction.delete_emptydir_data && all.eviction.disable_eviction);
        assert_eq!(
            (all.eviction.pod_selector.map(|it| it.to_string()).as_deref(), all.eviction.chunk_size),
            (Some("a=b"), 0)
        );
    }

    #[test]
    fn nodes_are_named_or_selected_but_not_both() {
        assert!(Cli::try_parse_from(["usher", "cordon", "-r", "x"]).is_err());
        assert!(Cli::try_parse_from(["usher", "cordon", "w1", "-l", "a=b", "-r", "x"]).is_err());
        assert!(Cli::try_parse_from(["usher", "cordon", "-l", "a=b", "-r", "x"]).is_ok());
    }
}
