//! What `usher job delete` and `usher cronjob refresh` have in common: the plan in words, carrying it out, the report.

use jiff::Timestamp;
use serde::Serialize;
use usher_core::rights::to_replace_jobs;

use super::{
    interrupt::listen,
    propose::{Answer, Proposal, propose},
};
use crate::{
    cli::{DryRun, Global, ObjectChangeFlags},
    cluster::Cluster,
    exit::Exit,
    output::{self, Mark, mark},
    problem::{self, Problem},
    show, text,
    workloads::{
        CronJobFacts,
        replace::{self, Ended, JobPlan, JobRef, JobToDelete, Options, Progress, Replacement, Start, Trouble},
    },
};

/// The plan for people.
pub(super) fn plan_text(plan: &JobPlan, now: Timestamp) -> String {
    let mut lines = Vec::new();
    for replacement in &plan.replacements {
        lines.extend(replacement.jobs.iter().flat_map(|job| job_lines(&replacement.namespace, job, now)));
        lines.extend(next_lines(replacement, now));
    }
    if plan.jobs() == 0 {
        lines.push("nothing to do: no job runs with an earlier template than its cron job has".to_owned());
    } else {
        lines
            .push("The jobs are deleted with their pods: a pod deleted alone would come back from its job.".to_owned());
    }
    let kept = plan.kept.iter().map(|job| format!("left alone: {}/{}: {}", job.namespace, job.name, job.why));
    lines.extend(kept);
    lines.join("\n")
}

fn job_lines(namespace: &str, job: &JobToDelete, now: Timestamp) -> Vec<String> {
    let made = job.created.map(|at| format!(", made {} ago", text::age(at, now))).unwrap_or_default();
    let mut lines = vec![format!("delete {namespace}/{}  ({}{made})", job.name, job.status.word())];
    lines.extend(job.differences.iter().map(|difference| format!("    differs   {difference}")));
    for pod in &job.pods {
        let node = pod.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        lines.push(format!("    with pod  {} ({}{node}, {}s to end)", pod.name, pod.status, pod.grace_seconds));
    }
    match (job.pods.len(), job.active) {
        (0, 0) => lines.push("    it has no pods".to_owned()),
        (0, active) => lines.push(format!("    with {active} pods that you may not list")),
        _ => {}
    }
    lines
}

/// What the CronJob does next.
fn next_lines(replacement: &Replacement, now: Timestamp) -> Vec<String> {
    let Some(cron_job) = &replacement.cron_job else { return vec!["    then      nothing makes it again".to_owned()] };
    let namespace = &replacement.namespace;
    let mut lines = match replacement.start {
        Start::Yes => {
            vec![format!("start a new job of the cron job {namespace}/{} when they have gone", cron_job.name)]
        }
        Start::Suspended => vec![
            "    no start  the cron job is suspended".to_owned(),
            format!(
                "              to start one all the same: kubectl create job -n {namespace} --from=cronjob/{name} \
                 {name}-manual",
                name = cron_job.name
            ),
        ],
        Start::No => Vec::new(),
    };
    lines.push(format!("    then      {}", next(cron_job, now)));
    lines
}

fn next(cron_job: &CronJobFacts, now: Timestamp) -> String {
    let CronJobFacts { name, schedule, time_zone, suspended, concurrency_policy, next_run, catches_up, .. } = cron_job;
    let zone = time_zone.as_deref().unwrap_or("the controller's zone");
    let what = format!("the cron job {name} ({schedule:?}, {zone}, concurrency {concurrency_policy})");
    match next_run {
        _ if *suspended => format!("{what} is suspended: it starts nothing"),
        _ if *catches_up => format!("{what} makes up at once for the run that this job held up"),
        Some(at) => {
            let unsure = if time_zone.is_none() { ", if that zone is UTC" } else { "" };
            let at_utc = at.strftime("%Y-%m-%d %H:%M UTC");
            format!("{what} runs next at {at_utc}, in {}{unsure}", text::age(now, *at))
        }
        None => format!("{what} goes on with its schedule"),
    }
}

/// Shows the plan, asks, carries it out, reports.
pub(super) async fn carry_out(
    global: &Global,
    cluster: &Cluster,
    flags: &ObjectChangeFlags,
    plan: &JobPlan,
    options: &Options,
    text: impl FnOnce() -> String,
) -> Result<Exit, Problem> {
    if plan.jobs() == 0 && flags.dry_run == DryRun::None {
        show::show(show::Kind::JobPlan, plan, global.output, text)?;
        return Ok(Exit::Done);
    }
    let rights = plan
        .replacements
        .iter()
        .flat_map(|replacement| to_replace_jobs(&replacement.namespace, matches!(replacement.start, Start::Yes)));
    let proposal = Proposal { kind: show::Kind::JobPlan, plan, verb: "jobs", rights: rights.collect() };
    if propose(global, cluster, flags, proposal, text).await? == Answer::Shown {
        if flags.dry_run == DryRun::Server {
            let tried = replace::try_out(cluster, plan, options.reason.as_deref()).await;
            tried.map_err(|refusal| {
                let problem = Problem::from(refusal.error);
                Problem { kind: problem::Kind::Refused, ..problem }
                    .detail(format!("the plan would stop at {}", refusal.job))
            })?;
            output::progress("the server accepts each of these changes");
        }
        return Ok(Exit::Done);
    }
    let interrupt = listen("stopping before the next job (again: leave at once) …")?;
    let mut tell = |step: Progress| global.progress.event(&step, || line(&step));
    let ended = replace::carry_out(cluster, plan, options, &interrupt, &mut tell).await;
    let report = JobReport::of(cluster, options, ended);
    show::report(show::Kind::JobReport, &report, report.exit, global.output, || report.to_text())
}

fn line(step: &Progress) -> String {
    match step {
        Progress::Deleting { job } => format!("  {job}: deleting"),
        Progress::Waiting { job, pods } if pods.is_empty() => format!("  {job}: waits for its end"),
        Progress::Waiting { job, pods } => format!("  {job}: waits for {}", text::list(pods)),
        Progress::Deleted { job, took } => {
            format!("{} {job}: gone with its pods after {}", mark(Mark::Done), text::took(*took))
        }
        Progress::GoneBefore { job } => format!("{} {job}: had gone before", mark(Mark::Done)),
        Progress::Started { job, cron_job } => format!("{} {job}: started for {cron_job}", mark(Mark::Done)),
        Progress::NotStarted { cron_job, why } => format!("  {cron_job}: not started: {why}"),
    }
}

/// What was done, and what was left.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobReport {
    cluster: String,
    exit: Exit,
    exit_code: u8,
    summary: String,
    details: Vec<String>,
    /// What to do next; commands can be pasted into a shell.
    next: Vec<String>,
    #[serde(flatten)]
    ended: Ended,
}

impl JobReport {
    fn of(cluster: &Cluster, options: &Options, mut ended: Ended) -> Self {
        let mut problem = ended.trouble.take().map(|trouble| problem_of(trouble, &ended));
        let exit = match &problem {
            None => Exit::Done,
            Some(problem) if problem.kind == problem::Kind::Failed && ended.did_anything() => Exit::Partly,
            Some(problem) => problem.exit(),
        };
        let mut summary = done(&ended, options.wait);
        if let Some(problem) = &problem {
            summary = format!("{}; {summary}", problem.message);
        }
        let (mut details, mut next) = problem.take().map(|it| (it.details, it.hints)).unwrap_or_default();
        let lines = |what: &str, jobs: &[JobRef]| jobs.iter().map(|job| format!("{what} {job}")).collect::<Vec<_>>();
        if exit != Exit::Done {
            details.extend(lines("deleted:", &ended.deleted));
            details.extend(lines("on its way out:", &ended.going));
            details.extend(lines("started:", &ended.started));
            details.extend(lines("not touched:", &ended.left));
            next.extend(ended.not_started.iter().map(|it| {
                let JobRef { namespace, name } = &it.cron_job;
                format!(
                    "to start a new job later: kubectl create job -n {namespace} --from=cronjob/{name} {name}-manual"
                )
            }));
        }
        Self { cluster: cluster.name().to_owned(), exit, exit_code: exit.code(), summary, details, next, ended }
    }

    fn to_text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        lines.extend(self.exit.ending(&self.details, &self.next));
        lines.join("\n")
    }
}

fn done(ended: &Ended, waited: bool) -> String {
    let mut parts = Vec::new();
    if waited || ended.going.is_empty() {
        let whose = if ended.deleted.len() == 1 { "its" } else { "their" };
        parts.push(format!("{} deleted with {whose} pods", text::count(ended.deleted.len(), "job")));
    }
    if !ended.going.is_empty() {
        parts.push(format!("{} on the way out", text::count(ended.going.len(), "job")));
    }
    if !ended.started.is_empty() {
        parts.push(format!("{} started", text::count(ended.started.len(), "job")));
    }
    if !ended.left.is_empty() {
        parts.push(format!("{} not touched", text::count(ended.left.len(), "job")));
    }
    parts.join(", ")
}

fn problem_of(trouble: Trouble, ended: &Ended) -> Problem {
    let again = "whatever is deleted stays deleted: the same command goes on with the rest";
    match trouble {
        Trouble::Failed(error) if ended.did_anything() => Problem::from(error).hint(again),
        Trouble::Failed(error) => error.into(),
        Trouble::Interrupted => Problem::interrupted("interrupted").hint(again),
        Trouble::TimedOut { job, after, pods } => {
            let mut problem = Problem::timed_out(format!("{job} has not gone within {}", text::took(after)));
            problem.details.extend(pods.iter().map(|pod| format!("still there: {}/{pod}", job.namespace)));
            let JobRef { namespace, name } = &job;
            problem
                .hint(format!(
                    "its deletion stands; see what holds it up: usher pods list -n {namespace} -l job-name={name}"
                ))
                .hint(again)
        }
    }
}
