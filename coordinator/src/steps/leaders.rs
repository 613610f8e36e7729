//! Proof that the control plane works: every election has a holder that renews, every apiserver is ready.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Context, StepError};
use crate::{step::Step, world::World};

/// Between two looks at apiservers that are not all ready yet.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// An apiserver is ready within seconds of its start; one that is not after this long needs somebody to look at it.
pub(super) const APISERVERS_READY_WITHIN: Duration = Duration::from_secs(120);

pub(super) async fn prove(step: &Step, context: &Context<'_>) -> Result<(), StepError> {
    let world = context.world;
    for component in &world.site.components {
        if context.policy.without_leader.contains(&component.name) {
            continue;
        }
        let Some(lease) = World::lease(component) else { continue };
        let ended = context.state.replaced.get(&component.name).map(String::as_str);
        let within = world.site.defaults.lease_timeout;
        if world.elections().await.leader(&lease, ended).is_none() {
            context.waiting(step, format!("waiting for a {} that renews its lease", component.name));
        }
        let holder = world.elections().await.await_leader(&lease, ended, within).await.map_err(|error| {
            StepError::timed_out(format!("nobody leads {}: {error}", component.name))
                .hint(format!("look at its instances: usher leaders; usher agent units {}", context.machine()))
        })?;
        if ended.is_some() && context.turn.component.as_ref() == Some(&component.name) {
            context.fact(step, format!("{} leads", holder.machine.as_deref().unwrap_or(&holder.identity)));
        }
    }
    all_apiservers_ready(step, context).await
}

async fn all_apiservers_ready(step: &Step, context: &Context<'_>) -> Result<(), StepError> {
    let deadline = Instant::now() + APISERVERS_READY_WITHIN;
    loop {
        let readiness = context.world.apiservers().await;
        let Some((machine, state)) = readiness.iter().find(|(_, state)| !state.is_ready()) else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(StepError::timed_out(format!("the apiserver on {machine} is {state}")));
        }
        context.waiting(step, format!("waiting for the apiserver on {machine}: {state}"));
        sleep(LOOK_AGAIN).await;
    }
}
