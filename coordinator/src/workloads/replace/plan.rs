//! What is to be deleted and started: plain data, shown before anything is done.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cluster::ClusterError,
    workloads::{cron_jobs::facts::CronJobFacts, cron_jobs::template::Difference, jobs::state::JobState},
};

/// Jobs that are to go, CronJob by CronJob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobPlan {
    pub replacements: Vec<Replacement>,
    /// Jobs that run and are left alone.
    pub kept: Vec<KeptJob>,
}

/// The jobs of one CronJob that go, or a job of none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    pub namespace: String,
    /// None if nothing made the job, or if its CronJob is gone or must not be looked at.
    pub cron_job: Option<CronJobFacts>,
    pub jobs: Vec<JobToDelete>,
    pub start: Start,
}

/// Whether a job is started when the others have gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Start {
    /// Nobody asked for one.
    No,
    Yes,
    /// Somebody has suspended the CronJob, and so wants no runs of it.
    Suspended,
}

/// A job that is to go, with its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobToDelete {
    pub name: String,
    /// Only the job with this uid is deleted, never a later one of the same name.
    pub uid: String,
    pub status: JobState,
    pub created: Option<Timestamp>,
    pub active: u32,
    pub pods: Vec<PodOfJob>,
    /// In what its template differs from its CronJob's; empty where nobody compared.
    pub differences: Vec<Difference>,
    /// The selector of its pods; None means that they are found by their owner alone.
    #[serde(skip)]
    pub(super) selector: Option<String>,
}

/// A pod that goes with its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodOfJob {
    pub name: String,
    /// As kubectl's column STATUS has it.
    pub status: String,
    pub node: Option<String>,
    /// How long it may take to end.
    pub grace_seconds: u64,
}

/// A job that runs and is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptJob {
    pub namespace: String,
    pub name: String,
    pub cron_job: String,
    pub why: String,
}

/// Which job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRef {
    pub namespace: String,
    pub name: String,
}

impl std::fmt::Display for JobRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl JobPlan {
    /// How many jobs go.
    pub fn jobs(&self) -> usize {
        self.replacements.iter().map(|replacement| replacement.jobs.len()).sum()
    }
}

impl Replacement {
    pub(super) fn job(&self, job: &JobToDelete) -> JobRef {
        JobRef { namespace: self.namespace.clone(), name: job.name.clone() }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Nothing has this name.
    #[error("there is no {kind} {name} in the namespace {namespace}")]
    Missing {
        /// As people call it: `job`, `cron job`.
        kind: &'static str,
        namespace: String,
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// The API did not tell.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}
