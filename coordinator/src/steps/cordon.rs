//! Cordon and uncordon, with the mark that tells ours from others'.

use super::{Context, StepError, drain};
use crate::{
    cluster::{Cordoned, NodeFacts, Uncordoned},
    step::Step,
};

pub(super) async fn cordon(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    if context.turn.steps.contains(&Step::Drain) {
        drain::check(context).await?;
    }
    match context.world.cluster.cordon(context.machine(), &context.mandate.mark()).await? {
        Cordoned::Now => {
            context.fact(step, format!("cordoned by usher (operation {})", context.mandate.operation));
        }
        Cordoned::Before => context.fact(step, "already cordoned"),
    }
    Ok(())
}

pub(super) async fn uncordon(step: &Step, context: &mut Context<'_>, only_ours: bool) -> Result<(), StepError> {
    let machine = context.machine().to_owned();
    if only_ours {
        // The mark may be of an earlier reboot that did not come so far; the plan decided that it is ours to take.
        let mark = context.world.cluster.node(&machine).await?.mark;
        let ours = mark.filter(|mark| mark.operation == context.mandate.operation || mark.command == "reboot");
        let Some(mark) = ours else {
            context.fact(step, "stays cordoned: the cordon is no longer usher's");
            return Ok(());
        };
        return told(step, context, context.world.cluster.uncordon(&machine, Some(&mark.operation)).await?);
    }
    told(step, context, context.world.cluster.uncordon(&machine, None).await?)
}

fn told(step: &Step, context: &Context<'_>, outcome: Uncordoned) -> Result<(), StepError> {
    context.fact(
        step,
        match outcome {
            Uncordoned::Now => "schedulable again",
            Uncordoned::Before => "already schedulable",
            Uncordoned::NotOurs => "stays cordoned: the cordon is no longer usher's",
        },
    );
    Ok(())
}

/// Whether a Node that was cordoned before its drain still is. If not, new pods may have come to it.
pub(super) fn is_kept(context: &Context<'_>, node: &NodeFacts) -> Result<(), StepError> {
    if node.unschedulable {
        return Ok(());
    }
    let (machine, command) = (context.machine(), context.mandate.command);
    Err(StepError::failed(format!("{machine} was uncordoned by somebody else meanwhile; it may have pods again"))
        .hint(format!("find out by whom and why; then begin again: usher {command} {machine} -r REASON")))
}

/// Uncordons if this operation cordoned.
pub(super) async fn undo(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    let machine = context.machine().to_owned();
    let operation = context.mandate.operation.clone();
    match context.world.cluster.uncordon(&machine, Some(&operation)).await {
        Ok(Uncordoned::Now) => context.undone(step, format!("{machine} is schedulable again")),
        Ok(Uncordoned::Before | Uncordoned::NotOurs) => {}
        Err(error) if error.is_not_found() => {
            context.undone(step, format!("{machine} was deleted meanwhile, and its cordon with it"));
        }
        Err(error) => {
            let hint = format!("{machine} may still be cordoned: usher uncordon {machine} -r REASON");
            return Err(StepError::from(error).hint(hint));
        }
    }
    Ok(())
}
