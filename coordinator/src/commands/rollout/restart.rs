//! `usher rollout restart`.

use jiff::{Timestamp, Unit};
use usher_common::clock;

use super::{Found, WithoutWords, answered, found, planned::decide, report::Doing};
use crate::{
    cli::{Global, RolloutRestart},
    exit::Exit,
    problem::Problem,
    workloads::rollout::{Change, plan},
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
    let rows = plan(cluster, places, workloads, &site.drain.protected_namespaces).await.map_err(answered)?;
    decide(global, &found, follow, (rows, changes), &Doing::Restart { at, change }).await
}

/// In UTC and seconds, as kubectl writes it but for the zone. One time for all workloads: `undo` knows the operation by it.
fn second(now: Timestamp) -> String {
    now.round(Unit::Second).unwrap_or(now).to_string()
}
