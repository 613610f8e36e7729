//! Restarting and starting a unit through its agent.

use super::{Context, evidence};
use crate::{agents::Task, facts::leader::Leadership, problem::Problem, site::Component, tasks, text};

pub(super) async fn restart(context: &mut Context<'_>, component: &str, unit: &str) -> Result<(), Problem> {
    remember_holder(context, component).await?;
    let agent = context.agent()?;
    let status = agent.status().await?;
    let Some(found) = status.unit(unit).filter(|found| found.load_state == "loaded") else {
        return Err(Problem::failed(format!("the agent on {} does not know the state of {unit}", context.machine()))
            .hint(format!("look at it: usher agent units {}", context.machine())));
    };
    let before = found.invocation_id.clone();
    let limit = context.world.site.defaults.restart_timeout;
    let order = context.order();
    let ended = tasks::restart_unit(&agent, &order, unit, before.as_deref(), limit, |message| context.waiting(message));
    let ended = ended.await.map_err(|not_done| context.not_done(not_done))?;
    let verb = if before.is_some() { "restarted" } else { "started" };
    context.fact(with_evidence(verb, &ended));
    let probed = ended.steps.iter().any(|step| step.name == "healthy");
    context.fact(if probed { "healthy" } else { "active" });
    if context.world.site.component(component).is_some_and(Component::is_apiserver) {
        // The agent says that its apiserver is ready; the way from here to it must be open as well.
        evidence::await_apiserver(context).await?;
        context.fact("ready");
    }
    Ok(())
}

pub(super) async fn start(context: &mut Context<'_>, component: &str, unit: &str) -> Result<(), Problem> {
    let agent = context.agent()?;
    let limit = context.world.site.defaults.restart_timeout;
    let ended = tasks::start_unit(&agent, &context.order(), unit, limit, |message| context.waiting(message)).await;
    let ended = ended.map_err(|not_done| context.not_done(not_done))?;
    context.progress.stopped.retain(|(stopped, _)| stopped != component);
    context.fact(with_evidence("started", &ended));
    Ok(())
}

/// Remembers whose process ends, so that its name in the Lease is not taken for a leader that lives.
async fn remember_holder(context: &mut Context<'_>, component: &str) -> Result<(), Problem> {
    let world = context.world;
    let Some(lease) = world.site.component(component).and_then(Component::lease) else { return Ok(()) };
    let leadership = world.elections().await.leadership(&lease).await?;
    if let Some(identity) = own_identity(context, component, &leadership) {
        context.progress.replaced.insert(component.to_owned(), identity);
    }
    Ok(())
}

/// The name in the Lease that is this machine's process: by what the machine is called, or by the operator's word if the name fits no
/// machine.
pub(super) fn own_identity(context: &Context<'_>, component: &str, leadership: &Leadership) -> Option<String> {
    let (holder, machine) = (leadership.holder()?, context.machine());
    let is_own = match holder.machine.as_deref() {
        Some(known) => known == machine,
        None => context.request.assumes_leader(component, machine),
    };
    is_own.then(|| holder.identity.clone())
}

/// `restarted in 3.8s (a1f0… → 77c2…)`
fn with_evidence(verb: &str, operation: &Task) -> String {
    let took = operation.evidence.unit_took.map(|took| format!(" in {}", text::took(took))).unwrap_or_default();
    format!("{verb}{took}{}", identities(operation))
}

fn identities(operation: &Task) -> String {
    let evidence = &operation.evidence;
    match (&evidence.invocation_id_before, &evidence.invocation_id_after) {
        (Some(before), Some(after)) => format!(" ({} → {})", text::short_id(before), text::short_id(after)),
        (None, Some(after)) => format!(" ({})", text::short_id(after)),
        _ => String::new(),
    }
}
