//! `usher jobs`.

use std::time::Duration;

use jiff::Timestamp;
use usher_common::clock;

use super::{
    job_plan::{carry_out, plan_text},
    propose::namespaces,
    targets::{bare, node_name},
    workload::{Listing, age, connect, dash, images, limit, or_dash, reason},
};
use crate::{
    cli::{Global, JobDelete, JobsCommand, Listed, Namespaced},
    exit::Exit,
    problem::Problem,
    show::Kind,
    text,
    workloads::{
        JobRow, Namespaces, jobs,
        replace::{Options, removal},
    },
};

pub(super) async fn run(global: &Global, command: JobsCommand) -> Result<Exit, Problem> {
    match command {
        JobsCommand::List { listed, node } => list(global, &listed, node.as_deref()).await,
        JobsCommand::Delete(arguments) => delete(global, arguments).await,
    }
}

async fn list(global: &Global, listed: &Listed, node: Option<&str>) -> Result<Exit, Problem> {
    let listing = Listing::open(global, listed, Kind::JobList, "jobs").await?;
    let node = node.map(node_name);
    let rows = jobs(&listing.cluster, &listing.namespaces, listing.selector.as_deref(), node).await?;
    listing.expect_node(node, rows.len()).await?;
    let mut header = vec!["NAME", "STATUS", "COMPLETIONS", "ACTIVE", "FAILED", "DURATION", "AGE", "CRON JOB"];
    if listing.wide {
        header.push("IMAGES");
    }
    header.push("REASON");
    listing.show(header, &rows, |row, now| (&row.namespace, cells(row, listing.wide, now)))
}

fn cells(row: &JobRow, wide: bool, now: Timestamp) -> Vec<String> {
    let mut cells = vec![
        row.name.clone(),
        row.status.word().to_owned(),
        completions(row),
        row.active.to_string(),
        row.failed.to_string(),
        duration(row, now).map_or_else(dash, text::took),
        age(row.created, now),
        or_dash(row.cron_job.as_deref()),
    ];
    if wide {
        cells.push(images(&row.images, true));
    }
    cells.push(reason(row.reason.as_deref(), wide));
    cells
}

/// As kubectl writes it: `1/3`, or `0/1 of 4` where any one of several is enough.
fn completions(row: &JobRow) -> String {
    match (row.completions, row.parallelism) {
        (Some(completions), _) => format!("{}/{completions}", row.succeeded),
        (None, 0 | 1) => format!("{}/1", row.succeeded),
        (None, parallelism) => format!("{}/1 of {parallelism}", row.succeeded),
    }
}

/// From its start to its end, or until now. A failed job has no time of its end.
fn duration(row: &JobRow, now: Timestamp) -> Option<Duration> {
    let end = row.completed.or(row.status.is_unfinished().then_some(now))?;
    Duration::try_from(end.duration_since(row.started?)).ok()
}

async fn delete(global: &Global, arguments: JobDelete) -> Result<Exit, Problem> {
    let JobDelete { names, namespace, no_wait, timeout, change } = arguments;
    let cluster = connect(global).await?;
    let namespace = match namespaces(&cluster, &Namespaced { namespace, all_namespaces: false }).await? {
        Namespaces::One(name) => name,
        Namespaces::All => return Err(Problem::usage("name one namespace: -n NAMESPACE")),
    };
    let kinds = ["job", "jobs", "job.batch", "jobs.batch"];
    let names: Vec<String> = names.iter().map(|name| bare(name, &kinds).to_owned()).collect();
    let plan = removal(&cluster, &namespace, &names).await?;
    let options = Options { wait: !no_wait, timeout: limit(timeout), reason: change.reason.clone() };
    let text = || plan_text(&plan, clock::now());
    carry_out(global, &cluster, &change, &plan, &options, text).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::JobState;

    #[test]
    fn completions_read_as_kubectls() {
        let row = |completions, parallelism| JobRow {
            namespace: String::new(),
            name: String::new(),
            uid: String::new(),
            status: JobState::Running,
            succeeded: 1,
            completions,
            parallelism,
            active: 0,
            failed: 0,
            created: None,
            started: None,
            completed: None,
            cron_job: None,
            reason: None,
            images: Vec::new(),
        };
        assert_eq!(completions(&row(Some(3), 2)), "1/3");
        assert_eq!(completions(&row(None, 1)), "1/1");
        assert_eq!(completions(&row(None, 4)), "1/1 of 4");
    }
}
