//! Restarting and starting a unit through its agent.

use super::{Context, StepError};
use crate::{
    node::{NodeError, Operation},
    site::Role,
    step::Step,
    words,
    world::World,
};

pub(super) async fn restart(
    step: &Step,
    context: &mut Context<'_>,
    component: &str,
    unit: &str,
) -> Result<(), StepError> {
    remember_holder(context, component).await?;
    let agent = context.world.agents.agent(context.machine())?;
    let status = agent.status().await?;
    // A unit that never ran in this boot has no identity to expect: starting it is all that a restart can mean.
    let before = status.unit(unit).and_then(|found| found.invocation_id.clone());
    let order = context.mandate.order();
    let begun = match &before {
        Some(invocation_id) => agent.restart_unit(&order, unit, invocation_id).await,
        None => agent.start_unit(&order, unit).await,
    };
    let ended = follow(step, context, begun).await?;
    let verb = if before.is_some() { "restarted" } else { "started" };
    context.fact(step, with_evidence(verb, &ended));
    let probed = ended.steps.iter().any(|step| step.name == "healthy");
    context.fact(step, if probed { "healthy" } else { "active" });
    apiserver_is_ready(step, context, component).await
}

pub(super) async fn start(
    step: &Step,
    context: &mut Context<'_>,
    component: &str,
    unit: &str,
) -> Result<(), StepError> {
    let agent = context.world.agents.agent(context.machine())?;
    let begun = agent.start_unit(&context.mandate.order(), unit).await;
    let ended = follow(step, context, begun).await?;
    context.state.stopped.retain(|(stopped, _)| stopped != component);
    context.fact(step, with_evidence("started", &ended));
    Ok(())
}

/// Follows an operation of an agent to its end, through lost connections; also one whose first answer was lost.
pub(super) async fn follow(
    step: &Step,
    context: &Context<'_>,
    begun: Result<Operation, NodeError>,
) -> Result<Operation, StepError> {
    let id = match begun {
        Ok(operation) => operation.id,
        Err(NodeError::AnswerLost { operation_id, .. }) => operation_id,
        Err(error) => return Err(error.into()),
    };
    let agent = context.world.agents.agent(context.machine())?;
    let timeout = context.world.site.defaults.restart_timeout;
    let ended = agent.follow(&id, timeout, |progress| context.waiting(step, progress.message.clone())).await?;
    match &ended.failure {
        None => Ok(ended),
        Some(failure) => {
            let unit = ended.unit.as_deref().unwrap_or_default();
            let mut error = StepError::failed(failure.message.clone());
            if !failure.journal.is_empty() {
                error.details.push(format!("{} {unit}, last lines of its journal:", context.machine()));
                error.details.extend(failure.journal.iter().map(|line| format!("  {line}")));
            }
            Err(error)
        }
    }
}

/// Remembers whose process ends, so that its name in the Lease is not taken for a leader that lives.
async fn remember_holder(context: &mut Context<'_>, component: &str) -> Result<(), StepError> {
    let world = context.world;
    let Some(lease) = world.site.component(component).and_then(World::lease) else { return Ok(()) };
    if let Some(holder) = world.elections().await.leadership(&lease).await?.holder()
        && holder.machine.as_deref() == Some(context.machine())
    {
        context.state.replaced.insert(component.to_owned(), holder.identity.clone());
    }
    Ok(())
}

/// The agent says that its apiserver is ready; the way from here to it must be open as well.
async fn apiserver_is_ready(step: &Step, context: &Context<'_>, component: &str) -> Result<(), StepError> {
    let world = context.world;
    if !world.site.component(component).is_some_and(|found| matches!(found.role, Role::ApiServer { .. })) {
        return Ok(());
    }
    super::ready::await_apiserver(step, context).await?;
    context.fact(step, "ready");
    Ok(())
}

/// `restarted in 3.8s (a1f0… → 77c2…)`
fn with_evidence(verb: &str, operation: &Operation) -> String {
    let took = operation.evidence.unit_took.map(|took| format!(" in {}", words::took(took))).unwrap_or_default();
    format!("{verb}{took}{}", identities(operation))
}

fn identities(operation: &Operation) -> String {
    let evidence = &operation.evidence;
    match (&evidence.invocation_id_before, &evidence.invocation_id_after) {
        (Some(before), Some(after)) => format!(" ({} → {})", words::short_id(before), words::short_id(after)),
        (None, Some(after)) => format!(" ({})", words::short_id(after)),
        _ => String::new(),
    }
}
