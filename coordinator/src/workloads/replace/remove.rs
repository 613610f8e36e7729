//! The plan for jobs that were named.

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::{CronJob, Job},
        core::v1::Pod,
    },
};
use kube::api::ListParams;
use usher_common::{clock, config_file::nearest};

use super::plan::{JobPlan, JobToDelete, LookupError, PodOfJob, Replacement, Start};
use crate::{
    cluster::{Cluster, ClusterError},
    workloads::{
        Namespaces,
        cron_jobs::{
            facts::{CronJobFacts, facts},
            object::CronJob as CronJobObject,
            template::Difference,
        },
        jobs::{object::Job as JobObject, state::state},
        pods::{object::Pod as PodObject, printer::print},
        read,
    },
};

/// The plan to delete these jobs of a namespace.
///
/// # Errors
///
/// If one of them does not exist, or the API does not answer or forbids it.
pub async fn removal(cluster: &Cluster, namespace: &str, names: &[String]) -> Result<JobPlan, LookupError> {
    let mut replacements: Vec<Replacement> = Vec::new();
    let now = clock::now();
    for name in names {
        let job: JobObject = named::<Job, _>(cluster, "job", namespace, name).await?;
        if replacements.iter().flat_map(|it| &it.jobs).any(|other| other.uid == job.metadata.uid) {
            continue;
        }
        let cron_job = cron_job_of(cluster, namespace, &job, now).await?;
        let job = to_delete(cluster, namespace, job, Vec::new()).await?;
        replacements.push(Replacement { namespace: namespace.to_owned(), cron_job, jobs: vec![job], start: Start::No });
    }
    Ok(JobPlan { replacements, kept: Vec::new() })
}

/// The object of this name, or what else may have been meant.
pub(super) async fn named<K, T>(
    cluster: &Cluster,
    kind: &'static str,
    namespace: &str,
    name: &str,
) -> Result<T, LookupError>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    T: serde::de::DeserializeOwned,
{
    match read::get::<K, T>(cluster, namespace, name, &format!("read the {kind} {namespace}/{name}")).await {
        Err(error) if error.is_not_found() => {
            // Without the right to list there is no guess.
            let there = read::names::<K>(cluster, namespace).await.unwrap_or_default();
            let nearest = nearest(name, there.iter().map(String::as_str)).map(str::to_owned);
            Err(LookupError::Missing { kind, namespace: namespace.to_owned(), name: name.to_owned(), nearest })
        }
        other => Ok(other?),
    }
}

/// The CronJob that the job belongs to, as long as there is that very one.
async fn cron_job_of(
    cluster: &Cluster,
    namespace: &str,
    job: &JobObject,
    now: Timestamp,
) -> Result<Option<CronJobFacts>, ClusterError> {
    let Some(owner) = job.metadata.controller("CronJob") else { return Ok(None) };
    let doing = format!("read the cron job {namespace}/{}", owner.name);
    match read::get::<CronJob, CronJobObject>(cluster, namespace, &owner.name, &doing).await {
        Ok(cron_job) if cron_job.metadata.uid == owner.uid => Ok(Some(facts(&cron_job, now))),
        Ok(_) => Ok(None),
        Err(error) if error.is_not_found() || error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A job with the pods that go with it.
pub(super) async fn to_delete(
    cluster: &Cluster,
    namespace: &str,
    job: JobObject,
    differences: Vec<Difference>,
) -> Result<JobToDelete, ClusterError> {
    let selector = job.spec.pod_selector();
    let pods = match pods_of(cluster, namespace, selector.as_deref(), &job.metadata.uid).await {
        // They go with the job all the same.
        Err(error) if error.is_forbidden() => Vec::new(),
        pods => pods?,
    };
    Ok(JobToDelete {
        status: state(&job),
        name: job.metadata.name,
        uid: job.metadata.uid,
        created: job.metadata.creation_timestamp,
        active: job.status.active,
        pods,
        differences,
        selector,
    })
}

/// The pods of the job with this uid.
pub(super) async fn pods_of(
    cluster: &Cluster,
    namespace: &str,
    selector: Option<&str>,
    uid: &str,
) -> Result<Vec<PodOfJob>, ClusterError> {
    let there = Namespaces::One(namespace.to_owned());
    let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
    let add = |pods: &mut Vec<PodOfJob>, pod: PodObject| {
        if pod.metadata.controller("Job").is_some_and(|owner| owner.uid == uid) {
            let status = print(&pod).status;
            let PodObject { metadata, spec, .. } = pod;
            let grace_seconds = spec.termination_grace_period_seconds.unwrap_or_default();
            pods.push(PodOfJob { name: metadata.name, status, node: spec.node_name, grace_seconds });
        }
    };
    read::fold::<Pod, _, _>((cluster, &there), params, "list the job's pods", Vec::new(), add).await
}
