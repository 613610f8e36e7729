//! Carrying out a plan: job by job, each to its end before the next one is touched.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::ListParams;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use usher_common::clock;

use super::{
    gone::{gone, pods_left},
    plan::{JobPlan, JobRef, JobToDelete, Replacement, Start},
    requests::{Deletion, create, delete, whole},
};
use crate::{
    cluster::{Cluster, ClusterError},
    interrupt::Interrupt,
    workloads::{
        Namespaces,
        cron_jobs::{
            facts::{CronJobFacts, facts},
            manual::{manual_job, new_name},
            object::CronJob as CronJobObject,
        },
        jobs::{object::Job as JobObject, state::state},
        read,
    },
};

/// How long to look for what has kept a job from going in time.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// How a plan is carried out.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether to wait until each job has gone with its pods. Needed where another one is to be started.
    pub wait: bool,
    /// How long a job and its pods may take to go; None for as long as they need.
    pub timeout: Option<Duration>,
    /// Why: recorded with jobs that are started.
    pub reason: Option<String>,
}

/// What happens on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Progress {
    /// The server was asked to delete it.
    Deleting { job: JobRef },
    /// These of its pods are still there.
    Waiting { job: JobRef, pods: Vec<String> },
    /// It has gone with its pods.
    Deleted {
        job: JobRef,
        #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
        took: Duration,
    },
    /// It had gone before it was asked for.
    GoneBefore { job: JobRef },
    /// It was started for the CronJob of this name.
    Started { job: JobRef, cron_job: String },
    /// None was started for the CronJob, and why.
    NotStarted { cron_job: JobRef, why: String },
}

/// What was done, and what was left.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// Gone with their pods, or gone before.
    pub deleted: Vec<JobRef>,
    /// On their way out when usher stopped watching. Nothing brings them back.
    pub going: Vec<JobRef>,
    pub started: Vec<JobRef>,
    pub not_started: Vec<NotStarted>,
    /// Not touched.
    pub left: Vec<JobRef>,
    #[serde(skip)]
    pub trouble: Option<Trouble>,
}

/// A CronJob for which no job was started, though one was wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotStarted {
    pub cron_job: JobRef,
    pub why: String,
}

impl Ended {
    /// Whether anything has changed.
    pub fn did_anything(&self) -> bool {
        !(self.deleted.is_empty() && self.going.is_empty() && self.started.is_empty())
    }
}

/// Why not everything was done.
#[derive(Debug)]
pub enum Trouble {
    /// A request failed.
    Failed(ClusterError),
    /// A job, or one of its pods, did not go in time.
    TimedOut { job: JobRef, after: Duration, pods: Vec<String> },
    /// The operator wants to stop.
    Interrupted,
}

/// Carries out a plan. After the first thing that goes wrong, or once the operator interrupts, no further job is touched; a
/// job that is to be started in the place of one that was deleted is still started, unless the operator insists.
pub async fn carry_out(
    cluster: &Cluster,
    plan: &JobPlan,
    options: &Options,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(Progress),
) -> Ended {
    let mut work = Work { cluster, options, interrupt, tell, ended: Ended::default() };
    for replacement in &plan.replacements {
        let done = match work.ended.trouble {
            None => work.replace(replacement).await,
            Some(_) => {
                work.leave(replacement, &replacement.jobs);
                Ok(())
            }
        };
        if let Err(trouble) = done {
            work.ended.trouble = Some(trouble);
        }
    }
    work.ended
}

struct Work<'a> {
    cluster: &'a Cluster,
    options: &'a Options,
    interrupt: &'a Interrupt,
    tell: &'a mut dyn FnMut(Progress),
    ended: Ended,
}

impl Work<'_> {
    async fn replace(&mut self, replacement: &Replacement) -> Result<(), Trouble> {
        let jobs = &replacement.jobs;
        let wanted = replacement.cron_job.as_ref().filter(|_| replacement.start == Start::Yes);
        for (number, job) in jobs.iter().enumerate() {
            let is_last = number + 1 == jobs.len();
            let deleted = match self.interrupt.is_requested() {
                // The same command deletes the others, and starts the new one then.
                true => Err(Trouble::Interrupted),
                false => self.delete(replacement, job, wanted.is_some() && is_last).await,
            };
            if let Err(trouble) = deleted {
                let touched = self.ended.going.contains(&replacement.job(job));
                self.leave(replacement, &jobs[number + usize::from(touched)..]);
                if let Some(cron_job) = wanted.filter(|_| touched && is_last) {
                    self.not_started(&replacement.namespace, cron_job, "the old job has not gone yet".to_owned());
                }
                return Err(trouble);
            }
        }
        let Some(cron_job) = wanted else { return Ok(()) };
        let started = self.start(&replacement.namespace, cron_job).await;
        started.map_err(|error| {
            self.not_started(&replacement.namespace, cron_job, error.to_string());
            Trouble::Failed(error)
        })
    }

    fn not_started(&mut self, namespace: &str, cron_job: &CronJobFacts, why: String) {
        let cron_job = JobRef { namespace: namespace.to_owned(), name: cron_job.name.clone() };
        (self.tell)(Progress::NotStarted { cron_job: cron_job.clone(), why: why.clone() });
        self.ended.not_started.push(NotStarted { cron_job, why });
    }

    fn leave(&mut self, replacement: &Replacement, jobs: &[JobToDelete]) {
        self.ended.left.extend(jobs.iter().map(|job| replacement.job(job)));
    }

    /// Deletes one job. If a job is to be started next, an interrupt waits until that is done.
    async fn delete(&mut self, replacement: &Replacement, job: &JobToDelete, starts: bool) -> Result<(), Trouble> {
        let (name, namespace, begun) = (replacement.job(job), &replacement.namespace, Instant::now());
        if delete(self.cluster, namespace, job, false).await.map_err(Trouble::Failed)? == Deletion::GoneBefore {
            (self.tell)(Progress::GoneBefore { job: name.clone() });
            self.ended.deleted.push(name);
            return Ok(());
        }
        (self.tell)(Progress::Deleting { job: name.clone() });
        self.ended.going.push(name.clone());
        if !self.options.wait {
            return Ok(());
        }
        let mut pods = Vec::new();
        let mut hear = |left: Vec<String>| {
            if left != pods {
                (self.tell)(Progress::Waiting { job: name.clone(), pods: left.clone() });
                pods = left;
            }
        };
        let interrupt = self.interrupt;
        let stop = async { if starts { interrupt.insisted().await } else { interrupt.requested().await } };
        let limit = self.options.timeout.unwrap_or(Duration::MAX);
        let ended = tokio::select! {
            biased;
            ended = timeout(limit, gone(self.cluster, namespace, job, &mut hear)) => ended,
            () = stop => return Err(Trouble::Interrupted),
        };
        match ended {
            Ok(gone) => gone.map_err(Trouble::Failed)?,
            Err(_) => {
                // As they are now; an API that is away must not make it later still.
                let now = timeout(LAST_LOOK, pods_left(self.cluster, namespace, job)).await;
                let pods = now.ok().and_then(Result::ok).unwrap_or(pods);
                return Err(Trouble::TimedOut { job: name, after: limit, pods });
            }
        }
        self.ended.going.retain(|going| *going != name);
        self.ended.deleted.push(name.clone());
        (self.tell)(Progress::Deleted { job: name, took: begun.elapsed() });
        Ok(())
    }

    /// Starts a job from the CronJob as it is now, unless that would be one too many.
    async fn start(&mut self, namespace: &str, planned: &CronJobFacts) -> Result<(), ClusterError> {
        if let Some(why) = self.why_not_start(namespace, planned).await? {
            self.not_started(namespace, planned, why);
            return Ok(());
        }
        let whole = whole(self.cluster, namespace, &planned.name).await?;
        let job = JobRef { namespace: namespace.to_owned(), name: new_name(&planned.name) };
        let manual = manual_job(&whole, &job.name, self.options.reason.as_deref());
        create(self.cluster, namespace, &manual, false).await?;
        (self.tell)(Progress::Started { job: job.clone(), cron_job: planned.name.clone() });
        self.ended.started.push(job);
        Ok(())
    }

    /// The controller of CronJobs does not see jobs that were started by hand, so the concurrency policy is heeded here.
    async fn why_not_start(&self, namespace: &str, planned: &CronJobFacts) -> Result<Option<String>, ClusterError> {
        let doing = format!("read the cron job {namespace}/{}", planned.name);
        let cron_job: CronJobObject =
            match read::get::<CronJob, _>(self.cluster, namespace, &planned.name, &doing).await {
                Err(error) if error.is_not_found() => return Ok(Some("the cron job was deleted meanwhile".to_owned())),
                cron_job => cron_job?,
            };
        let now = facts(&cron_job, clock::now());
        if now.uid != planned.uid {
            return Ok(Some("there is another cron job of its name now".to_owned()));
        }
        if now.suspended {
            return Ok(Some("the cron job was suspended meanwhile".to_owned()));
        }
        if now.allows_concurrency() {
            return Ok(None);
        }
        if now.catches_up {
            return Ok(Some("its controller now starts the run that the job had held up".to_owned()));
        }
        let there = Namespaces::One(namespace.to_owned());
        let add = |found: &mut Option<String>, job: JobObject| {
            let is_its_own = job.metadata.controller("CronJob").is_some_and(|owner| owner.uid == now.uid);
            if is_its_own && state(&job).is_unfinished() {
                found.get_or_insert(job.metadata.name);
            }
        };
        let all = ListParams::default();
        let running = read::fold::<Job, _, _>((self.cluster, &there), all, "list the jobs", None, add).await?;
        let policy = &now.concurrency_policy;
        Ok(running.map(|job| format!("{job} runs, and its concurrency policy is {policy}")))
    }
}
