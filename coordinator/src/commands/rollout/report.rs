//! Carries out a run of rollouts and reports on it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use usher_core::request::quote;

use super::{
    AT_A_SIGNAL, Found,
    tell::{indented, tell},
};
use crate::{
    cli::{Follow, Global, ObjectChangeFlags},
    commands::interrupt::listen,
    exit::Exit,
    problem::Problem,
    show, text,
    workloads::rollout::{Action, Change, Ended, Entry, Outcome, Row, Run, Settings, Stop, WorkloadId},
};

/// Which change is carried out.
pub(super) enum Doing<'a> {
    Restart { at: String, change: &'a ObjectChangeFlags },
    Undo { restarted_at: Option<Timestamp>, change: &'a ObjectChangeFlags },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    cluster: String,
    exit: Exit,
    summary: String,
    /// By which `undo` knows this restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    restarted_at: Option<String>,
    took: f64,
    workloads: Vec<Line>,
    /// What was left alone or refused by the plan.
    not_planned: Vec<Row>,
    /// Commands that do what is left.
    go_on: Vec<String>,
    /// Commands that take back what was changed.
    undo: Vec<String>,
}

#[derive(Serialize)]
struct Line {
    namespace: String,
    kind: crate::workloads::rollout::Kind,
    name: String,
    ended: Ended,
    seconds: f64,
    why: Vec<String>,
}

impl Doing<'_> {
    pub(super) fn action(&self) -> Action {
        match self {
            Doing::Restart { .. } => Action::Restart,
            Doing::Undo { .. } => Action::Undo,
        }
    }

    pub(super) fn change(&self) -> &ObjectChangeFlags {
        match self {
            Doing::Restart { change, .. } | Doing::Undo { change, .. } => change,
        }
    }
}

pub(super) async fn carry_out(
    global: &Global,
    found: &Found,
    follow: &Follow,
    rows: &[Row],
    changes: Vec<Option<Change>>,
    doing: &Doing<'_>,
) -> Result<Exit, Problem> {
    let interrupt = listen(AT_A_SIGNAL)?;
    let planned = rows.iter().zip(changes).filter(|(row, _)| matches!(row.action, Action::Restart | Action::Undo));
    let changes: Vec<_> = planned.filter_map(|(_, change)| change).collect();
    let not_planned: Vec<_> =
        rows.iter().filter(|row| matches!(row.action, Action::Skip | Action::Refuse)).cloned().collect();
    let begun = Instant::now();
    let run = Run { cluster: &found.cluster, places: &found.places, settings: settings(follow), interrupt: &interrupt };
    let outcome = run.to_end(changes, |event| tell(global.progress, event)).await;
    let took = begun.elapsed();
    let exit = exit(&outcome, &not_planned);
    let report = Report {
        cluster: found.cluster.name().to_owned(),
        exit,
        summary: summary(&outcome, doing, took),
        restarted_at: match doing {
            Doing::Restart { at, .. } => Some(at.clone()),
            Doing::Undo { .. } => None,
        },
        took: took.as_secs_f64(),
        go_on: go_on(global, &outcome, doing),
        undo: undo(global, &outcome, doing),
        workloads: outcome.entries.into_iter().map(Line::of).collect(),
        not_planned,
    };
    show::report(show::Kind::RolloutReport, &report, exit, global.output, || report.to_text())
}

fn settings(follow: &Follow) -> Settings {
    Settings {
        concurrency: follow.concurrency.get().into(),
        max_failures: follow.max_failures.into(),
        timeout: follow.timeout.filter(|timeout| !timeout.is_zero()),
        wait: !follow.no_wait,
    }
}

/// What was not done weighs more than what was.
fn exit(outcome: &Outcome, not_planned: &[Row]) -> Exit {
    let any = |ended| outcome.that(ended).next().is_some();
    let refused = not_planned.iter().any(|row| row.action == Action::Refuse);
    let some_done = any(Ended::Complete) || any(Ended::Begun);
    match outcome.stop {
        Some(Stop::Interrupted) if any(Ended::NotBegun) || any(Ended::UnderWay) => Exit::Interrupted,
        _ if any(Ended::TimedOut) || any(Ended::UnderWay) => Exit::TimedOut,
        _ if any(Ended::Failed) => {
            if some_done {
                Exit::Partly
            } else {
                Exit::Failed
            }
        }
        Some(Stop::TimedOut) if any(Ended::NotBegun) => Exit::TimedOut,
        _ if refused => Exit::Partly,
        _ => Exit::Done,
    }
}

fn summary(outcome: &Outcome, doing: &Doing<'_>, took: Duration) -> String {
    let verb = match doing {
        Doing::Restart { .. } => "restarted",
        Doing::Undo { .. } => "taken back",
    };
    let count = |ended| outcome.that(ended).count();
    let counts = [
        (count(Ended::Complete), format!("{verb} and complete")),
        (count(Ended::Begun), format!("{verb}, not waited for")),
        (count(Ended::Failed), "failed".to_owned()),
        (count(Ended::TimedOut) + count(Ended::UnderWay), "still under way".to_owned()),
        (count(Ended::NotBegun), "not begun".to_owned()),
    ];
    let told = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let of = text::count(outcome.entries.len(), "workload");
    format!("{of}: {}; took {}", told.collect::<Vec<_>>().join(", "), text::took(took))
}

/// The commands for what was not begun, and to wait for what is still under way.
fn go_on(global: &Global, outcome: &Outcome, doing: &Doing<'_>) -> Vec<String> {
    let (verb, flags) = match doing {
        Doing::Restart { change, .. } => ("restart", reason(change)),
        Doing::Undo { restarted_at, change } => {
            let mut flags: Vec<_> = restarted_at.iter().map(|at| format!("--restarted-at={at}")).collect();
            flags.extend(reason(change));
            ("undo", flags)
        }
    };
    let mut commands = of_each_namespace(global, verb, outcome.that(Ended::NotBegun), &flags);
    let under_way = outcome.that(Ended::TimedOut).chain(outcome.that(Ended::UnderWay));
    commands.extend(of_each_namespace(global, "status", under_way, &["--wait".to_owned()]));
    commands
}

fn undo(global: &Global, outcome: &Outcome, doing: &Doing<'_>) -> Vec<String> {
    match doing {
        Doing::Restart { at, .. } => {
            let changed = outcome.entries.iter().filter(|entry| entry.changed);
            of_each_namespace(global, "undo", changed, &[format!("--restarted-at={at}")])
        }
        Doing::Undo { .. } => Vec::new(),
    }
}

fn reason(change: &ObjectChangeFlags) -> Vec<String> {
    change.reason.iter().flat_map(|reason| ["-r".to_owned(), quote(reason)]).collect()
}

/// A command names workloads of one namespace.
fn of_each_namespace<'a>(
    global: &Global,
    verb: &str,
    entries: impl Iterator<Item = &'a Entry>,
    flags: &[String],
) -> Vec<String> {
    let mut by_namespace: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in entries {
        let WorkloadId { namespace, kind, name } = &entry.workload.id;
        by_namespace.entry(namespace).or_default().push(format!("{kind}/{name}"));
    }
    let connection = global.connection().flags();
    let command = |(namespace, workloads): (&str, Vec<String>)| {
        let words = ["usher", "rollout", verb].map(str::to_owned).into_iter().chain(workloads);
        let words = words.chain(["-n".to_owned(), namespace.to_owned()]).chain(flags.iter().cloned());
        words.chain(connection.iter().cloned()).collect::<Vec<_>>().join(" ")
    };
    by_namespace.into_iter().map(command).collect()
}

impl Line {
    fn of(entry: Entry) -> Self {
        let WorkloadId { namespace, kind, name } = entry.workload.id;
        Self { namespace, kind, name, ended: entry.ended, seconds: entry.seconds, why: entry.why }
    }
}

impl Report {
    fn to_text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        for row in &self.not_planned {
            let word = if row.action == Action::Skip { "skipped" } else { "refused" };
            lines.push(format!("{word}: {} {}/{}: {}", row.namespace, row.kind, row.name, row.remarks.join("; ")));
        }
        for Line { namespace, kind, name, ended, why, .. } in &self.workloads {
            let word = match ended {
                Ended::Complete | Ended::Begun if why.is_empty() => continue,
                Ended::Complete => "complete",
                Ended::Begun => "changed",
                Ended::Failed => "FAILED",
                Ended::TimedOut | Ended::UnderWay => "still under way",
                Ended::NotBegun => "not begun",
            };
            lines.push(indented(format!("{word}: {namespace} {kind}/{name}"), why));
        }
        lines.extend(self.go_on.iter().map(|command| format!("To go on: {command}")));
        if self.exit != Exit::Done {
            lines.extend(self.undo.iter().map(|command| format!("To take it back: {command}")));
            lines.push(self.exit.last_line());
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
