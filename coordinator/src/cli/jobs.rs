//! `usher pods`, `usher jobs`, `usher cronjobs`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{
    exits::{LOOKS, WORKLOADS, exits},
    values::duration,
    workload::{Namespaced, ObjectChangeFlags},
};
use crate::drain::PodSelector;

const POD_LIST_EXAMPLES: &str = "\
Examples:
  usher pods list -n shop
  usher pods list -A --node w3
  usher pods list -A -l app=gateway -o wide";

const JOB_LIST_EXAMPLES: &str = "\
Examples:
  usher jobs list -n shop
  usher jobs list -A --node w3
  usher jobs list -A -o json";

const JOB_DELETE_EXAMPLES: &str = "\
Examples:
  usher job delete report-29412345 -n shop --dry-run
  usher job delete report-29412345 report-29412400 -n shop --yes";

const CRON_JOB_LIST_EXAMPLES: &str = "\
Examples:
  usher cronjobs list -n shop
  usher cronjobs list -A -l app.kubernetes.io/managed-by=Helm";

const CRON_JOB_REFRESH_EXAMPLES: &str = "\
Examples:
  usher cronjob refresh report -n shop --dry-run
  usher cronjob refresh report -n shop --run
  usher cronjob refresh -n shop --yes
  usher cronjob refresh -A -l app.kubernetes.io/managed-by=Helm --dry-run=server";

/// Which objects are listed.
#[derive(Debug, Args)]
pub(crate) struct Listed {
    #[command(flatten)]
    pub(crate) namespaced: Namespaced,
    /// Only those with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<PodSelector>,
}

/// `usher pods`.
#[derive(Debug, Subcommand)]
pub(crate) enum PodsCommand {
    /// Show pods, and of each that is not ready, why.
    #[command(after_long_help = exits(&LOOKS, POD_LIST_EXAMPLES))]
    List {
        #[command(flatten)]
        listed: Listed,
        /// Only the pods on this node.
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
    },
}

/// `usher jobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Show jobs, and of each that is not done, why.
    #[command(after_long_help = exits(&LOOKS, JOB_LIST_EXAMPLES))]
    List {
        #[command(flatten)]
        listed: Listed,
        /// Only the jobs that have a pod on this node.
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
    },
    /// Delete jobs with their pods, and wait until all of them have gone.
    #[command(after_long_help = exits(&WORKLOADS, JOB_DELETE_EXAMPLES))]
    Delete(JobDelete),
}

/// `usher job delete`.
#[derive(Debug, Args)]
pub(crate) struct JobDelete {
    /// Names of the jobs.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Their namespace; by default that of the kubeconfig's context.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Do not wait until they have gone.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Stop waiting for a job and its pods after this time; 0 means never.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m", conflicts_with = "no_wait")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) change: ObjectChangeFlags,
}

/// `usher cronjobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum CronJobsCommand {
    /// Show cron jobs, and of each what runs, with an image of now or of before.
    #[command(after_long_help = exits(&LOOKS, CRON_JOB_LIST_EXAMPLES))]
    List(Listed),
    /// Delete the running jobs whose template is no longer that of their cron job, and start new ones if wanted.
    #[command(after_long_help = exits(&WORKLOADS, CRON_JOB_REFRESH_EXAMPLES))]
    Refresh(CronJobRefresh),
}

/// `usher cronjob refresh`.
#[derive(Debug, Args)]
pub(crate) struct CronJobRefresh {
    /// Name of the cron job. Without it, all cron jobs of the namespace, which is to be named then.
    #[arg(value_name = "NAME", required_unless_present_any = ["namespace", "all_namespaces"],
          conflicts_with_all = ["all_namespaces", "selector"])]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) namespaced: Namespaced,
    /// Only the cron jobs with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<PodSelector>,
    /// When its old jobs have gone, start a new one of each cron job at once.
    #[arg(long)]
    pub(crate) run: bool,
    /// Stop waiting for a job and its pods after this time; 0 means never.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) change: ObjectChangeFlags,
}
