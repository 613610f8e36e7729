//! `usher rollout undo`.

use super::{Found, WithoutWords, answered, found, planned::decide, report::Doing, wanted};
use crate::{
    cli::{Global, RolloutUndo},
    exit::Exit,
    problem::Problem,
    workloads::rollout,
};

pub(super) async fn undo(global: &Global, arguments: RolloutUndo) -> Result<Exit, Problem> {
    let RolloutUndo { scope, restarted_at, follow, change } = &arguments;
    let by_kind = wanted(scope, WithoutWords::Refuse)?.iter().any(|wanted| wanted.name.is_none());
    if by_kind && restarted_at.is_none() {
        return Err(Problem::usage("say which workloads by name, or which restart")
            .hint("one: deployment/NAME; a whole restart: --restarted-at TIME, as its report says"));
    }
    let mut found = found(global, scope, WithoutWords::Refuse).await?;
    if let (true, Some(at)) = (by_kind, restarted_at) {
        found.workloads.retain(|workload| workload.was_restarted_at(*at));
    }
    if found.workloads.is_empty() {
        return Err(Problem::refused("nothing to take back: there is no such workload here")
            .hint("see them: usher rollout status, with the same flags"));
    }
    let Found { cluster, places, workloads, .. } = &found;
    let (mut rows, mut changes) = (Vec::new(), Vec::new());
    for workload in workloads {
        let planned = rollout::undo(cluster, places, workload, *restarted_at, change.reason.as_deref()).await;
        let (row, change) = planned.map_err(answered)?;
        rows.push(row);
        changes.push(change);
    }
    let doing = Doing::Undo { restarted_at: *restarted_at, change };
    decide(global, &found, follow, (rows, changes), &doing).await
}
