//! What follows a reboot, if it is wanted: pods are moved back, under the same lock and with the same id.

use std::time::Duration;

use tokio::time::Instant;
use usher_core::operation::Mandate;

use crate::{
    cluster::Lock,
    event::Events,
    interrupt::Interrupt,
    plan::{self, Target},
    problem::Problem,
    request::Request,
    runner::{Outcome, Run},
    world::World,
};

/// A second request of the same operation, and how it ended.
#[derive(Debug)]
pub struct FollowUp {
    pub request: Request,
    pub outcome: Outcome,
    pub took: Duration,
}

/// On whose behalf, and with what.
pub(super) struct Means<'a> {
    pub(super) world: &'a World,
    pub(super) mandate: &'a Mandate,
    pub(super) lock: Option<&'a Lock>,
    pub(super) interrupt: &'a Interrupt,
    pub(super) events: &'a Events,
}

impl Means<'_> {
    /// Moves pods back to the machines that `rebooted`, if `request` wants that. Whatever comes of it, they have rebooted.
    pub(super) async fn rebalance(&self, request: &Request, rebooted: &[Target]) -> Option<FollowUp> {
        let world = self.world;
        let nodes = rebooted.iter().map(|target| world.node_name(target.machine()).to_owned());
        let request = request.rebalance_of(nodes.filter(|node| world.knows_node(node)).collect())?;
        let begun = Instant::now();
        let outcome = match self.run(&request, rebooted.len()).await {
            Ok(outcome) => outcome?,
            Err(problem) => Outcome::not_begun(problem),
        };
        Some(FollowUp { request, outcome, took: begun.elapsed() })
    }

    /// None if no node is left that takes pods.
    async fn run(&self, request: &Request, turns_before: usize) -> Result<Option<Outcome>, Problem> {
        let Self { world, mandate, lock, interrupt, events } = *self;
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
        let Some(request) = request.only(&open.iter().collect::<Vec<_>>()) else { return Ok(None) };
        facts.machines.retain(|machine| open.iter().any(|target| target.machine() == machine.name));
        let plan = plan::make(&request, &facts, &world.site)?;
        let drain = &request.drain_options(&world.site).unwrap_or_default();
        let run = Run { world, request: &request, mandate, drain, lock, interrupt, events, turns_before };
        Ok(Some(run.to_end(plan, facts).await))
    }
}
