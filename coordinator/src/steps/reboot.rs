//! The reboot itself: from the agent's answer to its answer with a new boot id.

use tokio::time::Instant;

use super::{Context, How, StepError, cordon};
use crate::{
    node::{NodeError, OperationState},
    step::Step,
    words,
};

pub(super) async fn reboot(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    let machine = context.machine().to_owned();
    if context.turn.steps.contains(&Step::ProveReady) {
        remember_node(context).await?;
    }
    // Right before the irreversible: is the Node still ours to reboot?
    if context.turn.steps.contains(&Step::Drain) {
        cordon::is_kept(context, &context.world.cluster.node(&machine).await?)?;
    }
    let agent = context.world.agents.agent(&machine)?;
    let before = agent.status().await?.boot_id;
    let order = context.mandate.order();
    let begun = Instant::now();

    // Should the answer be lost, the machine may go down all the same: nothing is taken back before that is settled.
    context.state.reboot_asked = true;
    if let Err(error) = agent.reboot(&order, &before, &context.policy.override_blockers).await {
        return match error {
            NodeError::Refused { .. } => {
                context.state.reboot_asked = false;
                Err(error.into())
            }
            error => await_boot(step, context, &order.operation_id, &before, begun).await.map_err(|unknown| {
                unknown.details([format!("the answer to the reboot call was lost: {}", words::chain(&error))])
            }),
        };
    }
    await_boot(step, context, &order.operation_id, &before, begun).await
}

async fn await_boot(
    step: &Step,
    context: &mut Context<'_>,
    operation: &str,
    before: &str,
    begun: Instant,
) -> Result<(), StepError> {
    let machine = context.machine().to_owned();
    let timeout = context.world.site.defaults.reboot_timeout;
    context.state.boot_id = Some(before.to_owned());
    context.waiting(step, format!("asked; waiting for a boot other than {}", words::short_id(before)));
    let agent = context.world.agents.agent(&machine)?;
    // The operation is the first to know that nothing will come of it; the new boot is the proof that something did.
    let failed = async {
        loop {
            let operation = agent.follow(operation, timeout, |_| {}).await;
            match operation {
                Ok(operation) if operation.state == OperationState::Failed => return operation.failure,
                Ok(_) => std::future::pending::<()>().await,
                Err(_) => tokio::time::sleep(std::time::Duration::from_secs(1)).await,
            }
        }
    };
    let status = tokio::select! {
        status = agent.await_boot(before, timeout) => status,
        failure = failed => {
            context.state.reboot_asked = false;
            let message = failure.map(|failure| failure.message).unwrap_or_default();
            return Err(StepError::failed(format!("{machine} was not rebooted: {message}")));
        }
    };
    match status {
        Ok(status) => {
            let took = words::took(begun.elapsed());
            context.fact(
                step,
                format!("boot {} → {} after {took}", words::short_id(before), words::short_id(&status.boot_id)),
            );
            Ok(())
        }
        Err(_) => Err(StepError::new(
            How::Unknown,
            format!(
                "{machine} was told to reboot {} ago and has not answered with a new boot since",
                words::took(begun.elapsed())
            ),
        )
        .hint("look at its console")
        .hint(left_cordoned(context))),
    }
}

/// What became of the Node of a machine that is in doubt.
fn left_cordoned(context: &Context<'_>) -> String {
    let machine = context.machine();
    match context.turn.steps.contains(&Step::Uncordon { only_ours: true }) {
        true => format!("it stays cordoned (by usher); when it is back and well: usher uncordon {machine} -r REASON"),
        false => format!("when it is back, see what it says: usher agent status {machine}"),
    }
}

/// Keeps what the Node was like before the reboot, once.
pub(super) async fn remember_node(context: &mut Context<'_>) -> Result<(), StepError> {
    if context.state.node.is_none() {
        context.state.node = Some(context.world.cluster.node(context.machine()).await?);
    }
    Ok(())
}
