//! What follows a reboot, if it is wanted: pods are moved back, under the same lock and with the same id.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    plan::{self, Target},
    problem::Problem,
    request::Request,
    runner::{Outcome, Run},
};

/// A second request of the same operation, and how it ended.
#[derive(Debug)]
pub struct FollowUp {
    pub request: Request,
    pub outcome: Outcome,
    pub took: Duration,
}

/// Moves pods back to the machines that `rebooted`, if the request of the `first` run wants that. Whatever comes of it, they have
/// rebooted.
pub(super) async fn rebalance(first: &Run<'_>, rebooted: &[Target]) -> Option<FollowUp> {
    let world = first.world;
    let nodes = rebooted.iter().map(|target| world.node_name(target.machine()).to_owned());
    let request = first.request.rebalance_of(nodes.filter(|node| world.knows_node(node)).collect())?;
    let begun = Instant::now();
    let outcome = match run(first, &request, rebooted.len()).await {
        Ok(outcome) => outcome?,
        Err(problem) => Outcome::not_begun(problem),
    };
    Some(FollowUp { request, outcome, took: begun.elapsed() })
}

/// None if no node is left that takes pods.
async fn run(first: &Run<'_>, request: &Request, turns_before: usize) -> Result<Option<Outcome>, Problem> {
    let Run { world, events, .. } = *first;
    let mut facts = world.facts(&request.scope(|_| false)).await?;
    let is_cordoned = |name: &&str| {
        facts.machine(name).and_then(|machine| machine.node.as_ref()).is_some_and(|node| node.unschedulable)
    };
    let names = facts.machines.iter().map(|machine| machine.name.as_str());
    let (cordoned, open): (Vec<_>, Vec<_>) = names.partition(is_cordoned);
    for node in cordoned {
        events.warn(format!("{node} stays cordoned, so no pods are moved back to it"));
    }
    let open: Vec<_> = open.into_iter().map(Target::machine_turn).collect();
    // A rebalance is never split.
    let Some(request) = request.only(&open.iter().collect::<Vec<_>>()).pop() else { return Ok(None) };
    facts.machines.retain(|machine| open.iter().any(|target| target.machine() == machine.name));
    let plan = plan::make(&request, &facts, &world.site)?;
    let drain = &request.drain_options(&world.site).unwrap_or_default();
    let run = Run { request: &request, drain, turns_before, ..*first };
    Ok(Some(run.to_end(plan, facts, true).await))
}
