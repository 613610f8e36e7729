//! The list of Jobs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::api::ListParams;
use serde::Serialize;
use usher_common::clock;

use super::{
    object,
    state::{JobState, state, why_not_done},
};
use crate::{
    cluster::{Cluster, ClusterError},
    workloads::{Namespaces, cron_jobs::template::images, pods, read},
};

/// The label of all pods of Jobs.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// What is kept of a Job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRow {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub status: JobState,
    pub succeeded: u32,
    /// How many pods must succeed; None if one that succeeds is enough, whatever the parallelism.
    pub completions: Option<u32>,
    pub parallelism: u32,
    pub active: u32,
    pub failed: u32,
    pub created: Option<Timestamp>,
    pub started: Option<Timestamp>,
    pub completed: Option<Timestamp>,
    /// The CronJob that made it, or for which it was made.
    pub cron_job: Option<String>,
    /// Why it is not done.
    pub reason: Option<String>,
    /// Of its pods' containers, in their order.
    pub images: Vec<String>,
}

/// The Jobs that the selector matches, by namespace and name; with a Node, those that have a pod on it, finished or not.
///
/// # Errors
///
/// If the API does not answer or forbids it; a selector that the server cannot parse is its 400.
pub async fn jobs(
    cluster: &Cluster,
    namespaces: &Namespaces,
    selector: Option<&str>,
    node: Option<&str>,
) -> Result<Vec<JobRow>, ClusterError> {
    let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
    let add = |rows: &mut Vec<JobRow>, job: object::Job| rows.push(row(job));
    let mut rows = read::fold::<Job, _, _>((cluster, namespaces), params, "list the jobs", Vec::new(), add).await?;
    if let Some(node) = node {
        let there = with_pods_on(cluster, namespaces, node).await?;
        rows.retain(|row| there.contains(&row.uid));
    }
    let waits = |row: &JobRow| row.status == JobState::Running && row.reason.is_some() && row.active > 0;
    if rows.iter().any(waits) {
        // What is wrong with its pods says more. Who may not look at them gets what the Job itself says.
        let troubles = troubles(cluster, namespaces).await.unwrap_or_default();
        for row in rows.iter_mut().filter(|row| waits(row)) {
            row.reason = troubles.get(&row.uid).cloned().or(row.reason.take());
        }
    }
    Ok(rows)
}

fn row(job: object::Job) -> JobRow {
    let (status, reason, images) = (state(&job), why_not_done(&job), images(&job.spec.template));
    let object::Job { metadata, spec, status: reported } = job;
    let cron_job = metadata.controller("CronJob").map(|owner| owner.name.clone());
    JobRow {
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
        status,
        succeeded: reported.succeeded,
        completions: spec.completions,
        parallelism: spec.parallelism.unwrap_or(1),
        active: reported.active,
        failed: reported.failed,
        created: metadata.creation_timestamp,
        started: reported.start_time,
        completed: reported.completion_time,
        cron_job,
        reason,
        images,
    }
}

/// The uids of the Jobs that have pods on a Node.
async fn with_pods_on(
    cluster: &Cluster,
    namespaces: &Namespaces,
    node: &str,
) -> Result<BTreeSet<String>, ClusterError> {
    let add = |jobs: &mut BTreeSet<String>, pod: pods::object::Pod| {
        jobs.extend(pod.metadata.controller("Job").map(|job| job.uid.clone()));
    };
    let params = ListParams::default().labels(JOB_NAME).fields(&format!("spec.nodeName={node}"));
    read::fold::<Pod, _, _>((cluster, namespaces), params, "list the node's pods", BTreeSet::new(), add).await
}

/// By the uid of its Job, the first pod that is not well, and why.
async fn troubles(cluster: &Cluster, namespaces: &Namespaces) -> Result<BTreeMap<String, String>, ClusterError> {
    let now = clock::now();
    let add = |troubles: &mut BTreeMap<String, String>, pod: pods::object::Pod| {
        let Some(job) = pod.metadata.controller("Job") else { return };
        if pod.status.is_finished() || pod.metadata.deletion_timestamp.is_some() || troubles.contains_key(&job.uid) {
            return;
        }
        if let Some(why) = pods::why::why_not_ready(&pod, now) {
            troubles.insert(job.uid.clone(), format!("{}: {why}", pod.metadata.name));
        }
    };
    let params = ListParams::default().labels(JOB_NAME);
    read::fold::<Pod, _, _>((cluster, namespaces), params, "list the jobs' pods", BTreeMap::new(), add).await
}
