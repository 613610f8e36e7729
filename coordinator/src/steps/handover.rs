//! Handing over the lease of a component that does not release it when it ends.
//!
//! kube-controller-manager keeps its Lease on SIGTERM (up to 1.37 the release is an alpha feature, off), so its peers wait
//! for the expiry: about 16 s without controllers. Freeing it for a process that provably ended saves that wait, and can
//! harm nobody: the process cannot come back to claim it, and the write is bound to the resourceVersion that still named it.

use std::time::Duration;

use tokio::time::Instant;
use usher_common::chain;

use super::{Context, unit};
use crate::{problem::Problem, request::Kind, site::Component, tasks, text};

/// What may follow the wait for the next leader before the unit is started or the machine reboots: the command that takes an apiserver
/// out of the pool, and the call itself.
const AFTER_THE_LEADER: Duration = Duration::from_secs(120);

/// A standby looks at the lease every 2 to 4.4 s, and takes one that is free at once.
const PEERS_LEAD_WITHIN: Duration = Duration::from_secs(15);

/// The longest time that agents accept.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long after the stop the agent starts the unit again if usher is not there any more to do it. Longer than all that usher waits
/// for with the unit stopped, so that the agent never comes first.
fn start_again_after(lease_timeout: Duration) -> Duration {
    lease_timeout.saturating_add(AFTER_THE_LEADER).min(LONGEST)
}

pub(super) async fn hand_over(context: &mut Context<'_>, component: &str, unit: &str) -> Result<(), Problem> {
    let world = context.world;
    let Some(lease) = world.site.component(component).and_then(Component::lease) else {
        return Err(Problem::failed(format!("{component} has no lease to hand over")));
    };
    let leadership = world.elections().await.leadership(&lease).await?;
    let identity = unit::own_identity(context, component, &leadership);

    let agent = context.agent()?;
    let invocation_id = agent.status().await?.unit(unit).and_then(|found| found.invocation_id.clone());
    let Some(invocation_id) = invocation_id else {
        return Err(Problem::failed(format!("{unit} does not run on {}", context.machine())));
    };
    // From here on it may be stopped, whatever answer reaches us.
    context.progress.stopped.push((component.to_owned(), unit.to_owned()));
    let limit = world.site.defaults.restart_timeout;
    let as_seen = (invocation_id.as_str(), start_again_after(world.site.defaults.lease_timeout));
    let order = context.order();
    let ended = tasks::stop_unit(&agent, &order, unit, as_seen, limit, |message| context.waiting(message)).await;
    ended.map_err(|not_done| context.not_done(not_done))?;
    let stopped = Instant::now();

    let status = agent.status().await?;
    match status.unit(unit) {
        Some(found) if found.main_pid == 0 && !found.is_active() => {}
        _ => return Err(Problem::failed(format!("{unit} on {} was stopped, but still runs", context.machine()))),
    }
    // It may have moved between the plan and the stop: what is left is a plain start.
    let Some(identity) = identity else {
        context.fact("leadership had moved already");
        return Ok(());
    };
    context.progress.replaced.insert(component.to_owned(), identity.clone());
    match world.cluster.free_lease(&lease, &identity).await {
        Ok(_) => {}
        Err(error) if error.is_forbidden() => context
            .events
            .warn(format!("usher may not free the lease {lease}, so it waits for its expiry ({})", chain(&error))),
        Err(error) => return Err(error.into()),
    }
    context.waiting(format!("waiting for another {component} to lead"));
    // A unit that is started again anyway is a candidate itself: sooner than its peers, if these cannot reach the API.
    let starts_again = matches!(context.request.kind, Kind::Restart(_));
    let limit = world.site.defaults.lease_timeout;
    let limit = if starts_again { limit.min(PEERS_LEAD_WITHIN) } else { limit };
    let elections = world.elections().await;
    let awaited = match starts_again {
        // The proof of the control plane follows, and awaits the renewal while the unit is started.
        true => elections.await_taker(&lease, &identity, limit).await,
        false => elections.await_leader(&lease, Some(&identity), limit).await,
    };
    match awaited {
        Ok(holder) => {
            let name = holder.machine.unwrap_or(holder.identity);
            context.fact(format!("{component} handed to {name} in {}", text::took(stopped.elapsed())));
            Ok(())
        }
        Err(error) if starts_again => {
            let after = text::took(limit);
            context
                .events
                .warn(format!("no other {component} has taken over within {after}, so it is started again: {error}"));
            Ok(())
        }
        Err(error) => Err(Problem::timed_out(format!("nobody took over {component}: {error}"))),
    }
}

/// Starts the unit again. The leader of that moment keeps leading.
pub(super) async fn undo(context: &mut Context<'_>, component: &str, unit: &str) -> Result<(), Problem> {
    if !context.progress.stopped.iter().any(|(stopped, _)| stopped == component) {
        return Ok(());
    }
    let machine = context.machine();
    let hint = format!("start it by hand: ssh {machine} systemctl start {unit}");
    unit::start(context, component, unit).await.map_err(|problem| problem.hint(hint))?;
    context.undone(format!("{unit} runs again"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_starts_it_only_after_all_that_usher_itself_waits_for() {
        let minutes = |number: u64| Duration::from_secs(60 * number);
        assert_eq!(start_again_after(minutes(1)), minutes(3));
        assert_eq!(start_again_after(minutes(20)), minutes(22));
        assert_eq!(start_again_after(Duration::MAX), LONGEST);
    }
}
