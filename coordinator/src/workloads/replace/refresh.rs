//! The plan for CronJobs: which of their jobs still run with an earlier template.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::CronJob;
use usher_common::clock;

use super::{
    plan::{JobPlan, KeptJob, LookupError, Replacement, Start},
    remove::{named, to_delete},
    requests::template_of_now,
};
use crate::{
    cluster::{Cluster, ClusterError},
    workloads::{
        Namespaces,
        cron_jobs::{
            facts::facts,
            list::{listed, running},
            object::CronJob as CronJobObject,
            template::{Difference, differences},
        },
        jobs::{
            object::Job as JobObject,
            state::{JobState, state},
        },
    },
};

/// Which CronJobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CronJobs {
    /// One of a namespace, by its name.
    Named { namespace: String, name: String },
    /// All that the selector matches.
    All { namespaces: Namespaces, selector: Option<String> },
}

/// The plan to replace the jobs that run with an earlier template than their CronJob has now. With `run`, another one is
/// started for each CronJob.
///
/// Where a template differs, the API server is asked how it would be made now, by a creation that it only tries: so what a
/// webhook adds to each job counts as no difference. Who may not create jobs gets the plain comparison.
///
/// # Errors
///
/// If the named CronJob does not exist, or the API does not answer or forbids it.
pub async fn refresh(cluster: &Cluster, which: &CronJobs, run: bool) -> Result<JobPlan, LookupError> {
    let (cron_jobs, namespaces) = match which {
        CronJobs::Named { namespace, name } => {
            let cron_job: CronJobObject = named::<CronJob, _>(cluster, "cron job", namespace, name).await?;
            (vec![cron_job], Namespaces::One(namespace.clone()))
        }
        CronJobs::All { namespaces, selector } => {
            (listed(cluster, namespaces, selector.as_deref()).await?, namespaces.clone())
        }
    };
    let mut running = if cron_jobs.is_empty() { BTreeMap::new() } else { running(cluster, &namespaces).await? };
    let mut plan = JobPlan::default();
    for cron_job in cron_jobs {
        let jobs = running.remove(&cron_job.metadata.uid).unwrap_or_default();
        add(cluster, &mut plan, &cron_job, jobs, run).await?;
    }
    Ok(plan)
}

async fn add(
    cluster: &Cluster,
    plan: &mut JobPlan,
    cron_job: &CronJobObject,
    jobs: Vec<JobObject>,
    run: bool,
) -> Result<(), ClusterError> {
    let namespace = &cron_job.metadata.namespace;
    let stale = stale(cluster, cron_job, &jobs).await;
    let mut replaced = Vec::new();
    for (job, differences) in jobs.into_iter().zip(stale) {
        let why = match state(&job) {
            JobState::Terminating => "it is being deleted already",
            _ if differences.is_empty() => "its template is the cron job's",
            _ => {
                replaced.push(to_delete(cluster, namespace, job, differences).await?);
                continue;
            }
        };
        plan.kept.push(KeptJob {
            namespace: namespace.clone(),
            name: job.metadata.name,
            cron_job: cron_job.metadata.name.clone(),
            why: why.to_owned(),
        });
    }
    if !replaced.is_empty() {
        let facts = facts(cron_job, clock::now());
        let start = match (run, facts.suspended) {
            (false, _) => Start::No,
            (true, true) => Start::Suspended,
            (true, false) => Start::Yes,
        };
        let namespace = namespace.clone();
        plan.replacements.push(Replacement { namespace, cron_job: Some(facts), jobs: replaced, start });
    }
    Ok(())
}

/// In what each job differs from the CronJob.
async fn stale(cluster: &Cluster, cron_job: &CronJobObject, jobs: &[JobObject]) -> Vec<Vec<Difference>> {
    let against = |template| jobs.iter().map(|job| differences(&job.spec.template, template)).collect::<Vec<_>>();
    let found = against(cron_job.spec.pod_template());
    if found.iter().all(Vec::is_empty) {
        return found;
    }
    let (namespace, name) = (&cron_job.metadata.namespace, &cron_job.metadata.name);
    match template_of_now(cluster, namespace, name).await {
        Some(now) => against(&now),
        None => found,
    }
}
