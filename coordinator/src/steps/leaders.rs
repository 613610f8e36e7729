//! Proof that the control plane works: every election has a holder that renews, every apiserver is ready.

use super::{Context, evidence};
use crate::problem::Problem;

/// `led` is the component whose leader the turn restarted.
pub(super) async fn prove(context: &Context<'_>, led: Option<&str>) -> Result<(), Problem> {
    let world = context.world;
    for component in &world.site.components {
        if context.request.is_leaderless(&component.name) {
            continue;
        }
        let Some(lease) = component.lease() else { continue };
        let ended = context.progress.replaced.get(&component.name).map(String::as_str);
        let limit = world.site.defaults.lease_timeout;
        let elections = world.elections().await;
        if elections.leader(&lease, ended).is_none() {
            context.waiting(format!("waiting for a {} that renews its lease", component.name));
        }
        let holder = elections.await_leader(&lease, ended, limit).await.map_err(|error| {
            Problem::timed_out(format!("nobody leads {}: {error}", component.name))
                .hint(format!("look at its instances: usher leaders; usher agent units {}", context.machine()))
        })?;
        if ended.is_some() && led == Some(component.name.as_str()) {
            context.fact(format!("{} leads", holder.machine.as_deref().unwrap_or(&holder.identity)));
        }
    }
    evidence::await_all_apiservers(context).await
}
