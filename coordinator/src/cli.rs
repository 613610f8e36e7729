//! The command line: what can be typed, and nothing of what it does. One file for each family of commands.

mod agent;
mod certificates;
mod change;
mod clusters;
mod config;
mod eviction;
mod exits;
mod format;
mod global;
mod helmfile;
mod jobs;
mod lock;
mod nodes;
mod plugin;
mod rebalance;
mod reboot;
mod report_page;
mod restart;
mod rollout;
mod staging;
mod values;
mod workload;

use clap::{Parser, Subcommand};

use self::exits::{FILES, LOOKS, exits, of_a_change};
pub(crate) use self::{
    agent::AgentCommand,
    certificates::{AuthorityOf, CertificatesCommand, Init as CertificatesInit, Issue, Renew},
    change::{ChangeFlags, DryRun},
    clusters::{ClustersCommand, Environment},
    config::{ConfigCommand, ConfigInit},
    helmfile::{HelmfileCommand, HelmfileRoll},
    jobs::{CronJobRefresh, CronJobsCommand, JobDelete, JobsCommand, Listed, PodsCommand},
    lock::{LockCommand, LockRun},
    nodes::{Drain, Look, OnNodes, Preflight, Status, Targets, names},
    rebalance::Rebalance,
    reboot::Reboot,
    report_page::ReportPage,
    restart::Restart,
    rollout::{Follow, RolloutCommand, RolloutRestart, RolloutStatus, RolloutUndo, Scope},
    staging::{StagingCommand, Switch},
    workload::{Namespaced, ObjectChangeFlags},
};
pub use self::{
    global::{Color, Global},
    plugin::CalledAs,
};
use crate::exit::Exit;

/// Restarts and reboots the machines of a Kubernetes cluster the polite way.
#[derive(Debug, Parser)]
#[command(name = "usher", version, after_long_help = exits(&Exit::ALL, ""), propagate_version = true)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show on one screen whether it is safe to begin.
    #[command(after_long_help = exits(&LOOKS, nodes::STATUS_EXAMPLES))]
    Status(Status),
    /// Show the machines: Nodes and control plane, with what their agents say.
    #[command(after_long_help = exits(&LOOKS, nodes::NODES_EXAMPLES))]
    Nodes(Look),
    /// Examine what usher needs at this site, and say what mends what is wrong: certificates, rights, clocks, agents, versions.
    #[command(after_long_help = DOCTOR)]
    Doctor,
    /// Show who leads each elected component.
    #[command(after_long_help = exits(&LOOKS, LEADERS))]
    Leaders,
    /// Restart components of the control plane, the leader last.
    #[command(after_long_help = of_a_change(restart::EXAMPLES))]
    Restart(Restart),
    /// Reboot machines: cordon, drain, reboot, prove that they are back, uncordon.
    #[command(after_long_help = of_a_change(reboot::EXAMPLES))]
    Reboot(Reboot),
    /// Mark nodes as unschedulable, with usher's mark of who and why.
    #[command(after_long_help = of_a_change(nodes::CORDON_EXAMPLES))]
    Cordon(OnNodes),
    /// Mark nodes as schedulable again.
    #[command(after_long_help = of_a_change(nodes::UNCORDON_EXAMPLES))]
    Uncordon(OnNodes),
    /// Cordon nodes and evict their pods.
    #[command(after_long_help = of_a_change(nodes::DRAIN_EXAMPLES))]
    Drain(Drain),
    /// Move pods to nodes that have fewer than their share, gently: after a reboot a node is empty.
    #[command(after_long_help = of_a_change(rebalance::EXAMPLES))]
    Rebalance(Rebalance),
    /// Say what a drain of nodes would find, pod by pod, and change nothing.
    #[command(after_long_help = exits(&LOOKS, nodes::PREFLIGHT_EXAMPLES))]
    Preflight(Preflight),
    /// Restart workloads, follow their rollouts and take them back.
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Look at pods.
    #[command(subcommand, visible_alias = "pod")]
    Pods(PodsCommand),
    /// Look at jobs, and delete them with their pods.
    #[command(subcommand, visible_alias = "job")]
    Jobs(JobsCommand),
    /// Look at cron jobs, and replace jobs that run with an image of before.
    #[command(subcommand, name = "cronjobs", visible_alias = "cronjob")]
    CronJobs(CronJobsCommand),
    /// Roll services that helmfile deploys.
    #[command(subcommand)]
    Helmfile(HelmfileCommand),
    /// Look at the cluster's lock, and hold it while a command of another tool runs.
    #[command(subcommand, after_help = lock::EXAMPLES)]
    Lock(LockCommand),
    /// Talk to one agent alone; works while the Kubernetes API is down.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Look at the clusters that are described, choose one, and set a shell up for it; asks none of them.
    #[command(subcommand, after_long_help = clusters::EXAMPLES)]
    Clusters(ClustersCommand),
    /// Look at the cluster file, or write one.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Issue certificates for agents and their callers, where a site has no certificate authority of its own.
    #[command(subcommand, after_long_help = certificates::EXAMPLES)]
    Certificates(CertificatesCommand),
    /// Switch the active one of two staging clusters, or show which one it is.
    #[command(subcommand, after_long_help = staging::EXAMPLES)]
    Staging(StagingCommand),
    /// Make one HTML page of an operation: its timeline, its evidence, what failed and what to do next.
    #[command(after_long_help = exits(&FILES, report_page::EXAMPLES))]
    Report(ReportPage),
    /// Print a script by which a shell completes commands, flags, nodes, components and clusters.
    #[command(after_long_help = exits(&FILES, COMPLETION))]
    Completion {
        /// Shell that will read the script.
        shell: clap_complete::Shell,
    },
    /// Print the versions of usher, the API server and the agents, and which agents differ.
    #[command(after_long_help = exits(&FILES, ""))]
    Version,
    /// Show which version of what runs where, against Kubernetes' skew policy, the site's target and ends of support.
    #[command(after_long_help = VERSIONS)]
    Versions,
}

const VERSIONS: &str = "\
Exit codes: 0 all is well, 1 something is unsupported or not what the site wants, 5 somebody did not answer.

Examples:
  usher versions
  usher versions -o json | jq '.findings[].message'";

const COMPLETION: &str = "\
Examples:
  source <(usher completion bash)
  usher completion fish > ~/.config/fish/completions/usher.fish
  usher completion zsh > ~/.zfunc/_usher

The script asks usher at each TAB. As kubectl's plugin, usher is completed by kubectl's own script.";

const DOCTOR: &str = "\
Exit codes: 0 usher can do its work here (there may be warnings), 1 something must be mended.

Examples:
  usher doctor
  usher doctor -o json | jq '.findings[] | select(.state != \"ok\")'";

const LEADERS: &str = "\
Examples:
  usher leaders
  usher leaders -o jsonpath='{.items[?(@.component==\"kube-scheduler\")].machine}'";

#[cfg(test)]
mod tests;
