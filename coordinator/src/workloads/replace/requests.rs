//! The requests that delete and create jobs.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::{
    Api, Resource as _,
    api::{DeleteParams, PostParams, Preconditions, PropagationPolicy},
    core::Request,
};
use serde_json::Value;

use super::plan::{JobPlan, JobRef, JobToDelete, Start};
use crate::{
    cluster::{Cluster, ClusterError, names::FIELD_MANAGER},
    workloads::{
        Namespaces,
        cron_jobs::manual::{manual_job, new_name},
        read,
    },
};

/// What became of a request to delete a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// It is on its way out, or was so already.
    Asked,
    /// This job had gone before; there may be another one of its name.
    GoneBefore,
}

/// Asks the server to delete this very job with its pods. Safe to repeat.
pub(super) async fn delete(
    cluster: &Cluster,
    namespace: &str,
    job: &JobToDelete,
    dry_run: bool,
) -> Result<Deletion, ClusterError> {
    let jobs: Api<Job> = Namespaces::One(namespace.to_owned()).api(cluster.client().clone());
    let params = DeleteParams {
        dry_run,
        propagation_policy: Some(PropagationPolicy::Foreground),
        preconditions: Some(Preconditions { uid: Some(job.uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    let doing = format!("delete the job {namespace}/{}", job.name);
    match cluster.patiently(&doing, || jobs.delete(&job.name, &params)).await {
        Ok(_) => Ok(Deletion::Asked),
        // The only precondition is the uid.
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(Deletion::GoneBefore),
        Err(error) => Err(error),
    }
}

/// Creates a job from a CronJob as it is in the API now. If a first answer was lost, a repeated request finds its own job.
pub(super) async fn create(
    cluster: &Cluster,
    namespace: &str,
    job: &Value,
    dry_run: bool,
) -> Result<Value, ClusterError> {
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    let doing = format!("create the job {namespace}/{name}");
    let params = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
    let url = Job::url_path(&(), Some(namespace));
    let create = || {
        let body = serde_json::to_vec(job).map_err(kube::Error::SerdeError);
        let request = body.and_then(|body| Request::new(&url).create(&params, body).map_err(kube::Error::BuildRequest));
        async move { cluster.client().request::<Value>(request?).await }
    };
    match cluster.patiently(&doing, create).await {
        Err(error) if error.is_conflict() && !dry_run => {
            let found: Value = read::get::<Job, _>(cluster, namespace, name, &doing).await?;
            let ours = found["metadata"]["ownerReferences"] == job["metadata"]["ownerReferences"];
            if ours { Ok(found) } else { Err(error) }
        }
        created => created,
    }
}

/// A CronJob with all that the API says of it.
pub(super) async fn whole(cluster: &Cluster, namespace: &str, name: &str) -> Result<Value, ClusterError> {
    read::get::<CronJob, Value>(cluster, namespace, name, &format!("read the cron job {namespace}/{name}")).await
}

/// The template that a job of the CronJob would have if it were made now, by the word of the API server with all its defaults
/// and webhooks. None if the server does not tell: a webhook may not know of requests that are only tried.
pub(super) async fn template_of_now(cluster: &Cluster, namespace: &str, cron_job: &str) -> Option<Value> {
    let cron_job = whole(cluster, namespace, cron_job).await.ok()?;
    let name = new_name(cron_job["metadata"]["name"].as_str()?);
    let made = create(cluster, namespace, &manual_job(&cron_job, &name, None), true).await.ok()?;
    Some(made["spec"]["template"].clone())
}

/// What the server would refuse.
#[derive(Debug)]
pub struct Refusal {
    pub job: JobRef,
    pub error: ClusterError,
}

/// Sends each request of the plan as one that the server only tries.
///
/// # Errors
///
/// The first that it refuses.
pub async fn try_out(cluster: &Cluster, plan: &JobPlan, reason: Option<&str>) -> Result<(), Refusal> {
    for replacement in &plan.replacements {
        let namespace = &replacement.namespace;
        for job in &replacement.jobs {
            let refused = |error| Refusal { job: replacement.job(job), error };
            delete(cluster, namespace, job, true).await.map_err(refused)?;
        }
        if let (Start::Yes, Some(cron_job)) = (replacement.start, &replacement.cron_job) {
            let name = new_name(&cron_job.name);
            let refused = |error| Refusal { job: JobRef { namespace: namespace.clone(), name: name.clone() }, error };
            let cron_job = whole(cluster, namespace, &cron_job.name).await.map_err(refused)?;
            create(cluster, namespace, &manual_job(&cron_job, &name, reason), true).await.map_err(refused)?;
        }
    }
    Ok(())
}
