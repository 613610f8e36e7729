//! The reboot itself: from the agent's answer to its answer with a new boot id.

use tokio::time::Instant;

use super::Context;
use crate::{
    facts::own_pods::{self, OwnPod},
    problem::Problem,
    tasks::{self, NoReboot},
    text,
};

/// The machine has booted since the turn was planned: another reboot would interrupt a machine that has just come back.
///
/// From here on nothing is taken back, as after a reboot of ours: it must neither get pods nor requests before it is proved to be back.
pub(super) async fn has_happened(context: &mut Context<'_>) -> Result<Option<String>, Problem> {
    let Some(before) = &context.baseline.boot_id else { return Ok(None) };
    let now = context.agent()?.own_status().await?.boot_id;
    let booted = !now.is_empty() && now != *before;
    context.progress.reboot_requested |= booted;
    Ok(booted.then(|| {
        format!("it has booted by itself during its turn ({} → {})", text::short_id(before), text::short_id(&now))
    }))
}

pub(super) async fn reboot(context: &mut Context<'_>, drained: bool) -> Result<(), Problem> {
    let agent = context.agent()?;
    if context.baseline.node.is_some() {
        note_the_node(context).await?;
    }
    // What the gates saw is what may be rebooted; without a baseline, what answers now.
    let before = match &context.baseline.boot_id {
        Some(before) => before.clone(),
        None => agent.own_status().await?.boot_id,
    };
    let begun = Instant::now();
    context.waiting(format!("asked; waiting for a boot other than {}", text::short_id(&before)));
    // Should the answer be lost, the machine may go down nevertheless.
    context.progress.reboot_requested = true;
    let limit = context.world.site.defaults.reboot_timeout;
    let rebooted = tasks::reboot(&agent, &context.order(), &before, context.request.override_blockers(), limit).await;
    match rebooted {
        Ok(status) => {
            let took = text::took(begun.elapsed());
            let (before, now) = (text::short_id(&before), text::short_id(&status.boot_id));
            context.fact(format!("boot {before} → {now} after {took}"));
            Ok(())
        }
        Err(NoReboot::NotRebooted(problem)) => {
            context.progress.reboot_requested = false;
            Err(problem)
        }
        Err(NoReboot::InDoubt(problem)) => {
            let machine = context.machine();
            Err(problem.hint(match drained {
                true => format!("it stays cordoned; when it is back and well: usher uncordon {machine} -r REASON"),
                false => format!("when it is back, see what it says: usher agent status {machine}"),
            }))
        }
    }
}

/// Notes what the Node is like before its reboot: the proof afterwards compares with this. Once before the turn's first change, and
/// again right before the reboot.
pub(super) async fn note_the_node(context: &mut Context<'_>) -> Result<(), Problem> {
    let (cluster, node) = (&context.world.cluster, context.node());
    let facts = cluster.node(node).await?;
    let pods = cluster.own_pods(node).await?;
    let sick = |pods: &[OwnPod]| own_pods::not_ready(pods).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let (known, places) = (sick(&context.progress.own_pods_before_reboot), sick(&pods));
    if !places.is_empty() && places != known {
        context.fact(format!("not ready before the reboot, so not waited for after it: {}", text::list(&places)));
    }
    context.progress.node_before_reboot = Some(facts);
    context.progress.own_pods_before_reboot = pods;
    Ok(())
}
