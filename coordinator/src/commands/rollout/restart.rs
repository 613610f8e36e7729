//! `usher rollout restart`.

use jiff::{Timestamp, Unit};
use usher_common::clock;

use super::{
    Found, WithoutWords, answered, found,
    planned::{Plan, planned_exit, refusal, to_text, try_out},
    report::{self, Doing},
};
use crate::{
    cli::{DryRun, Global, RolloutRestart},
    commands::propose::{Answer, propose},
    exit::Exit,
    problem::Problem,
    show,
    workloads::rollout::{Action, Change, plan},
};

pub(super) async fn restart(global: &Global, arguments: RolloutRestart) -> Result<Exit, Problem> {
    let RolloutRestart { scope, follow, change } = &arguments;
    let found = found(global, scope, WithoutWords::Refuse).await?;
    if found.workloads.is_empty() {
        return Err(Problem::refused("nothing to restart: there is no such workload here")
            .hint("see them: usher rollout status, with the same flags"));
    }
    let at = second(clock::now());
    let changes: Vec<_> = found
        .workloads
        .iter()
        .map(|workload| Some(Change::restart(workload.clone(), &at, change.reason.as_deref())))
        .collect();
    let Found { site, cluster, places, workloads } = &found;
    let mut rows = plan(cluster, places, workloads, &site.drain.protected_namespaces).await.map_err(answered)?;
    if change.dry_run == DryRun::Server {
        try_out(&found, &changes, &mut rows).await;
    }
    let plan = Plan { at_a_time: follow.concurrency.get(), workloads: &rows };
    let answer = propose(global, cluster, change, (show::Kind::RolloutPlan, &plan), || to_text(&plan))?;
    if let Some(refusal) = refusal(&rows, Action::Restart) {
        return Err(refusal);
    }
    match answer {
        Answer::Shown => Ok(planned_exit(&rows)),
        Answer::Go => report::carry_out(global, &found, follow, &rows, changes, &Doing::Restart { at, change }).await,
    }
}

/// In UTC and seconds, as kubectl writes it but for the zone. One time for all workloads: `undo` knows the operation by it.
fn second(now: Timestamp) -> String {
    now.round(Unit::Second).unwrap_or(now).to_string()
}
