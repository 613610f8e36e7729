//! What is to be done, as it is shown before the question, what the server thinks of it, and the question.

use serde::Serialize;
use usher_common::chain;
use usher_core::rights::to_roll;

use super::{
    Found,
    report::{Doing, carry_out},
};
use crate::{
    cli::{DryRun, Follow, Global},
    commands::propose::{Answer, Proposal, propose},
    exit::Exit,
    output,
    problem::Problem,
    show, text,
    workloads::rollout::{Action, Change, Row},
};

/// What is to be done, in order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan<'a> {
    /// How many roll at a time.
    at_a_time: u16,
    workloads: &'a [Row],
}

/// Shows the plan, asks, carries it out and reports.
pub(super) async fn decide(
    global: &Global,
    found: &Found,
    follow: &Follow,
    (mut rows, changes): (Vec<Row>, Vec<Option<Change>>),
    doing: &Doing<'_>,
) -> Result<Exit, Problem> {
    let flags = doing.change();
    if flags.dry_run == DryRun::Server {
        try_out(found, &changes, &mut rows).await;
    }
    let plan = Plan { at_a_time: follow.concurrency.get(), workloads: &rows };
    let changed = rows.iter().filter(|row| matches!(row.action, Action::Restart | Action::Undo));
    let rights = changed.map(|row| to_roll(row.kind.plural(), &row.namespace)).collect();
    let proposal = Proposal { kind: show::Kind::RolloutPlan, plan: &plan, verb: "rollout", rights };
    let answer = propose(global, &found.cluster, flags, proposal, || to_text(&plan)).await?;
    if let Some(refusal) = refusal(&rows, doing.action()) {
        return Err(refusal);
    }
    match answer {
        Answer::Shown => Ok(planned_exit(&rows)),
        Answer::Go => carry_out(global, found, follow, &rows, changes, doing).await,
    }
}

/// Lets the server try each change; what it refuses is refused in the plan.
async fn try_out(found: &Found, changes: &[Option<Change>], rows: &mut [Row]) {
    for (row, change) in rows.iter_mut().zip(changes) {
        if let (Action::Restart | Action::Undo, Some(change)) = (row.action, change)
            && let Err(error) = change.apply(&found.cluster, &found.places, true).await
        {
            row.refuse(chain(&error));
        }
    }
}

/// Why nothing of the plan can be done.
fn refusal(rows: &[Row], action: Action) -> Option<Problem> {
    if rows.iter().any(|row| row.action == action) {
        return None;
    }
    let lines =
        rows.iter().map(|row| format!("{} {}/{}: {}", row.namespace, row.kind, row.name, row.remarks.join("; ")));
    Some(Problem::refused("there is nothing that could be done").details(lines.collect::<Vec<_>>()))
}

/// A dry run ends as the real run would, as far as the plan tells.
fn planned_exit(rows: &[Row]) -> Exit {
    if rows.iter().any(|row| row.action == Action::Refuse) { Exit::Partly } else { Exit::Done }
}

fn to_text(plan: &Plan<'_>) -> String {
    let rows = plan.workloads.iter().map(|row| {
        let action = match row.action {
            Action::Restart => "restart",
            Action::Undo => "take back",
            Action::Skip => "SKIP",
            Action::Refuse => "REFUSED",
        };
        let workload = format!("{}/{}", row.kind, row.name);
        let remarks = row.remarks.join("; ");
        vec![
            row.namespace.clone(),
            workload,
            row.replicas.to_string(),
            row.strategy.clone(),
            action.to_owned(),
            remarks,
        ]
    });
    let table = output::table(&["NAMESPACE", "WORKLOAD", "REPLICAS", "STRATEGY", "PLAN", "REMARKS"], rows);
    let changes = plan.workloads.iter().filter(|row| matches!(row.action, Action::Restart | Action::Undo)).count();
    match changes {
        0 | 1 => table,
        _ => format!("{table}\n{} in this order, {} at a time", text::count(changes, "workload"), plan.at_a_time),
    }
}
