//! `usher cronjobs`.

use jiff::Timestamp;
use usher_common::clock;

use super::{
    job_plan::{carry_out, plan_text},
    propose::namespaces,
    targets::bare,
    workload::{Listing, age, connect, dash, images, limit},
};
use crate::{
    cli::{CronJobRefresh, CronJobsCommand, Global, Listed},
    exit::Exit,
    problem::Problem,
    show::Kind,
    text,
    workloads::{
        CronJobRow, Namespaces, cron_jobs,
        replace::{CronJobs, Options, refresh},
    },
};

pub(super) async fn run(global: &Global, command: CronJobsCommand) -> Result<Exit, Problem> {
    match command {
        CronJobsCommand::List(listed) => list(global, &listed).await,
        CronJobsCommand::Refresh(arguments) => refresh_jobs(global, arguments).await,
    }
}

async fn list(global: &Global, listed: &Listed) -> Result<Exit, Problem> {
    let listing = Listing::open(global, listed, Kind::CronJobList, "cron jobs").await?;
    let rows = cron_jobs(&listing.cluster, &listing.namespaces, listing.selector.as_deref()).await?;
    let mut header = vec!["NAME", "SCHEDULE", "TIME ZONE", "SUSPENDED", "LAST RUN", "LAST SUCCESS", "NEXT", "ACTIVE"];
    if listing.wide {
        header.extend(["CONCURRENCY", "AGE"]);
    }
    header.extend(["IMAGES", "STALE JOBS"]);
    listing.show(header, &rows, |row, now| (&row.namespace, cells(row, listing.wide, now)))
}

fn cells(row: &CronJobRow, wide: bool, now: Timestamp) -> Vec<String> {
    let facts = &row.facts;
    let mut cells = vec![
        facts.name.clone(),
        facts.schedule.clone(),
        facts.time_zone.clone().unwrap_or_else(dash),
        if facts.suspended { "yes" } else { "no" }.to_owned(),
        age(facts.last_schedule, now),
        age(facts.last_success, now),
        facts.next_run.map_or_else(dash, |at| format!("in {}", text::age(now, at))),
        row.running.len().to_string(),
    ];
    if wide {
        cells.extend([facts.concurrency_policy.clone(), age(row.created, now)]);
    }
    cells.extend([images(&row.images, wide), stale(row, wide)]);
    cells
}

/// The jobs that still run with an earlier template: with the images they have, or else the fields that differ.
fn stale(row: &CronJobRow, wide: bool) -> String {
    let stale = row.running.iter().filter(|job| !job.differences.is_empty()).map(|job| {
        let image_differs = job.differences.iter().any(|difference| difference.image.is_some());
        let what = match image_differs {
            true => images(&job.images, wide),
            false => job.differences.iter().map(|it| it.field.as_str()).collect::<Vec<_>>().join(","),
        };
        format!("{} ({what})", job.name)
    });
    let stale: Vec<_> = stale.collect();
    if stale.is_empty() { dash() } else { stale.join(", ") }
}

async fn refresh_jobs(global: &Global, arguments: CronJobRefresh) -> Result<Exit, Problem> {
    let CronJobRefresh { name, namespaced, selector, run, timeout, change } = arguments;
    let cluster = connect(global).await?;
    let namespaces = namespaces(&cluster, &namespaced).await?;
    let which = match (name, namespaces) {
        (Some(name), Namespaces::One(namespace)) => {
            let kinds = ["cronjob", "cronjobs", "cronjob.batch", "cronjobs.batch", "cj"];
            CronJobs::Named { namespace, name: bare(&name, &kinds).to_owned() }
        }
        (_, namespaces) => CronJobs::All { namespaces, selector: selector.map(|selector| selector.to_string()) },
    };
    let plan = refresh(&cluster, &which, run).await?;
    let options = Options { wait: true, timeout: limit(timeout), reason: change.reason.clone() };
    let text = || plan_text(&plan, clock::now());
    carry_out(global, &cluster, &change, &plan, &options, text).await
}
