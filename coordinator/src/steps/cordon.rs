//! Cordon and uncordon, with the mark that tells ours from others'.

use usher_common::chain;
use usher_core::plan::gates::{was_cordoned, was_uncordoned};

use super::Context;
use crate::{
    cluster::{Cordoned, Uncordoned},
    problem::Problem,
};

/// Cordons the Node. With `stay` the cordon is the operation's purpose.
pub(super) async fn cordon(context: &mut Context<'_>, stay: bool) -> Result<(), Problem> {
    let operation = &context.mandate.operation;
    match context.world.cluster.cordon(context.node(), &context.mark(), stay).await? {
        Cordoned::Now => context.fact(format!("cordoned by usher (operation {operation})")),
        Cordoned::ToStay(before) => {
            let (command, by, reason) = (&before.command, &before.by, &before.reason);
            context.fact(format!("was cordoned by usher {command} ({by}: {reason:?}), and stays so from now on"));
            context.progress.mark_before = Some(before);
        }
        // The plan found it schedulable: somebody came between, and does not want it rebooted and uncordoned.
        Cordoned::Before(None) if !stay => return Err(was_cordoned(context.machine())),
        Cordoned::Before(_) => context.fact("already cordoned"),
    }
    Ok(())
}

/// Uncordons if this operation cordoned.
pub(super) async fn undo(context: &Context<'_>) -> Result<(), Problem> {
    let (machine, node) = (context.machine(), context.node());
    if let Some(before) = &context.progress.mark_before {
        let restored = context.world.cluster.restore_mark(node, &context.mandate.operation, before).await;
        restored.map_err(|error| {
            Problem::from(error).hint(format!("{machine} stays cordoned, by this operation's mark"))
        })?;
        context.undone(format!("{machine} stays cordoned, as it was before"));
        return Ok(());
    }
    match context.world.cluster.uncordon(node, Some(&context.mandate.operation)).await {
        Ok(Uncordoned::Now) => context.undone(format!("{machine} is schedulable again")),
        Ok(Uncordoned::Before | Uncordoned::NotOurs) => {}
        Err(error) if error.is_not_found() => {
            context.undone(format!("{machine} was deleted meanwhile, and its cordon with it"));
        }
        Err(error) => {
            let hint = format!("{machine} may still be cordoned: usher uncordon {machine} -r REASON");
            return Err(Problem::from(error).hint(hint));
        }
    }
    Ok(())
}

pub(super) async fn uncordon(context: &Context<'_>, only_ours: bool) -> Result<(), Problem> {
    let (machine, node) = (context.machine(), context.node());
    let uncordoned = async {
        if !only_ours {
            return context.world.cluster.uncordon(node, None).await;
        }
        // The mark may be of an earlier reboot that did not finish; the plan decided that it is ours to take.
        let mark = context.world.cluster.node(node).await?.mark;
        match mark.filter(|mark| mark.operation == context.mandate.operation || mark.command == "reboot") {
            Some(mark) => context.world.cluster.uncordon(node, Some(&mark.operation)).await,
            None => Ok(Uncordoned::NotOurs),
        }
    };
    let hint = || format!("{machine} is well and may still be cordoned: usher uncordon {machine} -r REASON");
    let outcome = uncordoned.await.map_err(|error| Problem::from(error).hint(hint()))?;
    context.fact(match outcome {
        Uncordoned::Now => "schedulable again",
        Uncordoned::Before => "already schedulable",
        Uncordoned::NotOurs => "stays cordoned: the cordon is no longer usher's",
    });
    Ok(())
}

/// What somebody else did to a Node while it was drained: uncordoned, it may have pods again.
pub(super) async fn prove_kept(context: &Context<'_>) -> Result<(), Problem> {
    let machine = context.machine();
    match context.world.cluster.node(context.node()).await {
        Ok(node) if node.unschedulable => {}
        Ok(_) => return Err(was_uncordoned(machine, context.request.verb())),
        Err(error) if error.is_not_found() => context.fact("the Node was deleted meanwhile"),
        Err(error) => context
            .events
            .warn(format!("{machine} is drained; whether it is still cordoned is not known: {}", chain(&error))),
    }
    Ok(())
}
