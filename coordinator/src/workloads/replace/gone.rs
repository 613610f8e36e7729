//! Waiting until a job has gone with its pods.

use std::{pin::pin, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::time::sleep;

use super::{plan::JobToDelete, remove::pods_of};
use crate::{
    cluster::{
        Cluster, ClusterError,
        retry::is_transient,
        watch::{PAUSE, Steady, api_error, watch_seconds},
    },
    workloads::read,
};

/// How often to say what is being waited for.
const NOTICE: Duration = Duration::from_secs(10);

/// Returns when the job has gone, and its pods with it. The caller sets the deadline. `tell` hears now and then which pods are
/// still there.
///
/// # Errors
///
/// If the API forbids the look.
pub(super) async fn gone(
    cluster: &Cluster,
    namespace: &str,
    job: &JobToDelete,
    tell: &mut dyn FnMut(Vec<String>),
) -> Result<(), ClusterError> {
    let mut job_gone = pin!(job_gone(cluster, namespace, job));
    loop {
        tokio::select! {
            biased;
            gone = &mut job_gone => {
                gone?;
                break;
            }
            () = sleep(NOTICE) => tell(pods_left(cluster, namespace, job).await.unwrap_or_default()),
        }
    }
    // Somebody may have taken the finalizer away: then the garbage collector is still at it.
    while let left = pods_left(cluster, namespace, job).await?
        && !left.is_empty()
    {
        tell(left);
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Names of its pods that are still there; none if nobody may look.
pub(super) async fn pods_left(
    cluster: &Cluster,
    namespace: &str,
    job: &JobToDelete,
) -> Result<Vec<String>, ClusterError> {
    match pods_of(cluster, namespace, job.selector.as_deref(), &job.uid).await {
        Ok(pods) => Ok(pods.into_iter().map(|pod| pod.name).collect()),
        Err(error) if error.is_forbidden() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn job_gone(cluster: &Cluster, namespace: &str, job: &JobToDelete) -> Result<(), ClusterError> {
    let jobs: Api<PartialObjectMeta<Job>> = Api::namespaced(cluster.client().clone(), namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", job.name)).timeout(watch_seconds());
    let mut events = pin!(watcher(jobs, config).backoff(Steady).map(|event| event.map_err(api_error)));
    let mut there = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => there = false,
            Ok(Event::InitApply(found) | Event::Apply(found)) => {
                there = found.metadata.uid.as_deref() == Some(&job.uid);
                if !there {
                    return Ok(());
                }
            }
            Ok(Event::InitDone) if !there => return Ok(()),
            Ok(Event::InitDone) => {}
            Ok(Event::Delete(_)) => return Ok(()),
            // Without the right to watch the only way is to look again and again.
            Err(Some(error @ kube::Error::Api(_))) if !is_transient(&error) => {
                return job_gone_by_looks(cluster, namespace, job).await;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

async fn job_gone_by_looks(cluster: &Cluster, namespace: &str, job: &JobToDelete) -> Result<(), ClusterError> {
    let doing = format!("read the job {namespace}/{}", job.name);
    loop {
        match read::get::<Job, crate::workloads::object::Named>(cluster, namespace, &job.name, &doing).await {
            Ok(found) if found.metadata.uid == job.uid => sleep(PAUSE).await,
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
