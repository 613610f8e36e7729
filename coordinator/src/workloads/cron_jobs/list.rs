//! The list of CronJobs, each with what of it runs.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::ListParams;
use serde::Serialize;
use usher_common::clock;

use super::{
    facts::{CronJobFacts, facts},
    object,
    template::{Difference, differences, images},
};
use crate::{
    cluster::{Cluster, ClusterError},
    workloads::{
        Namespaces,
        jobs::{object::Job as JobObject, state::state},
        read,
    },
};

/// What is kept of a CronJob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CronJobRow {
    pub namespace: String,
    #[serde(flatten)]
    pub facts: CronJobFacts,
    /// Of its template, container by container.
    pub images: Vec<String>,
    /// Its jobs that are not over, those started by hand included.
    pub running: Vec<RunningJob>,
    pub created: Option<jiff::Timestamp>,
}

/// A job of a CronJob that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningJob {
    pub name: String,
    pub images: Vec<String>,
    /// In what its pods' template differs from the CronJob's: if in anything, the job is stale.
    pub differences: Vec<Difference>,
}

/// The CronJobs that the selector matches, by namespace and name.
///
/// # Errors
///
/// If the API does not answer or forbids it; a selector that the server cannot parse is its 400.
pub async fn cron_jobs(
    cluster: &Cluster,
    namespaces: &Namespaces,
    selector: Option<&str>,
) -> Result<Vec<CronJobRow>, ClusterError> {
    let listed = listed(cluster, namespaces, selector).await?;
    let running = if listed.is_empty() { BTreeMap::new() } else { running(cluster, namespaces).await? };
    let now = clock::now();
    let row = |cron_job: object::CronJob| {
        let template = cron_job.spec.pod_template();
        let jobs = running.get(&cron_job.metadata.uid).into_iter().flatten();
        let running = jobs.map(|job| RunningJob {
            name: job.metadata.name.clone(),
            images: images(&job.spec.template),
            differences: differences(&job.spec.template, template),
        });
        CronJobRow {
            running: running.collect(),
            images: images(template),
            facts: facts(&cron_job, now),
            created: cron_job.metadata.creation_timestamp,
            namespace: cron_job.metadata.namespace,
        }
    };
    Ok(listed.into_iter().map(row).collect())
}

/// The CronJobs themselves.
pub(in crate::workloads) async fn listed(
    cluster: &Cluster,
    namespaces: &Namespaces,
    selector: Option<&str>,
) -> Result<Vec<object::CronJob>, ClusterError> {
    let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
    let add = |all: &mut Vec<object::CronJob>, cron_job| all.push(cron_job);
    read::fold::<CronJob, _, _>((cluster, namespaces), params, "list the cron jobs", Vec::new(), add).await
}

/// The jobs that are not over, by the uid of their CronJob. Those that are over, most of all, are dropped page by page.
pub(in crate::workloads) async fn running(
    cluster: &Cluster,
    namespaces: &Namespaces,
) -> Result<BTreeMap<String, Vec<JobObject>>, ClusterError> {
    let add = |running: &mut BTreeMap<String, Vec<JobObject>>, job: JobObject| {
        if let Some(owner) = job.metadata.controller("CronJob").filter(|_| state(&job).is_unfinished()) {
            running.entry(owner.uid.clone()).or_default().push(job);
        }
    };
    let all = ListParams::default();
    read::fold::<Job, _, _>((cluster, namespaces), all, "list the jobs", BTreeMap::new(), add).await
}
