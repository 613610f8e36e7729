//! What each step does: how it is checked, applied with proof, and taken back. [`Step::row`] is the table of the vocabulary;
//! the three functions here are its other columns.
//!
//! A step reports what it brought about as facts, with the evidence, and returns when that is proved. It never prints and
//! never sleeps to be on the safe side: it waits for an identity to change, with a deadline. It sees its target, what that
//! was before the turn, and what earlier steps of the turn have done; never the plan.

mod context;
mod cordon;
mod drain;
mod etcd;
mod evidence;
mod handover;
mod leaders;
mod pool;
mod ready;
mod rebalance;
mod reboot;
mod unit;

use crate::{plan::step::Step, problem::Problem, request::Kind, text};

pub use self::context::{Context, Progress};

/// Whether what the step is for has come about already, by the evidence that it names: an operation that is resumed goes by it.
///
/// # Errors
///
/// If it cannot be told.
pub async fn check(step: &Step, context: &mut Context<'_>) -> Result<Option<String>, Problem> {
    match step {
        Step::Reboot { .. } => reboot::has_happened(context).await,
        // They ask for a state, find it themselves in the same request, and say so.
        Step::Cordon { .. } | Step::Uncordon { .. } | Step::Start { .. } | Step::Depool | Step::Pool { .. } => Ok(None),
        // A restart that somebody else made is none of ours.
        Step::Restart { .. } | Step::HandOver { .. } => Ok(None),
        // It looks who leads before it asks.
        Step::HandEtcdOver { .. } => Ok(None),
        // They consist of their proof.
        Step::Preflight
        | Step::Drain
        | Step::ProveCordoned
        | Step::ProveUnits
        | Step::ProveEtcd
        | Step::ProveControlPlane { .. }
        | Step::ProveReady { .. }
        | Step::Rebalance { .. }
        | Step::Gap { .. } => Ok(None),
    }
}

/// Does a step and proves it.
///
/// # Errors
///
/// What the step had changed by then is what [`undo`] takes back.
pub async fn apply(step: &Step, context: &mut Context<'_>) -> Result<(), Problem> {
    match step {
        Step::Preflight => {
            drain::preflight(context).await?;
            match &context.request.kind {
                Kind::Reboot(_) => reboot::note_the_node(context).await,
                _ => Ok(()),
            }
        }
        Step::Cordon { keep } => cordon::cordon(context, *keep).await,
        Step::Drain => drain::drain(context).await,
        Step::ProveCordoned => cordon::prove_kept(context).await,
        Step::HandOver { component, unit } => handover::hand_over(context, component, unit).await,
        Step::HandEtcdOver { to } => etcd::hand_over(context, to).await,
        Step::Depool => pool::depool(context).await,
        Step::Restart { component, unit } => unit::restart(context, component, unit).await,
        Step::Start { component, unit } => unit::start(context, component, unit).await,
        Step::Reboot { drained } => reboot::reboot(context, *drained).await,
        Step::ProveUnits => ready::prove_units(context).await,
        Step::ProveEtcd => etcd::prove(context).await,
        Step::Pool { .. } => pool::pool(context).await,
        Step::ProveControlPlane { led } => leaders::prove(context, led.as_deref()).await,
        Step::ProveReady { cordoned } => ready::prove_node(context, *cordoned).await,
        Step::Uncordon { only_ours } => cordon::uncordon(context, *only_ours).await,
        Step::Rebalance { among, max_moves, at_a_time } => {
            rebalance::rebalance(context, among, *max_moves, *at_a_time).await
        }
        Step::Gap { wait } => gap(context, *wait).await,
    }
}

/// Takes back what a step has changed, exactly, unless the machine may have been told to reboot: then nothing is taken back
/// before that is settled. [`Undo::Nothing`](crate::plan::step::Undo) gives the reason where there is nothing to do.
///
/// # Errors
///
/// Says what is left and how to mend it by hand.
pub async fn undo(step: &Step, context: &mut Context<'_>) -> Result<(), Problem> {
    if context.progress.reboot_requested {
        return Ok(());
    }
    match step {
        Step::Cordon { .. } => cordon::undo(context).await,
        Step::HandOver { component, unit } => handover::undo(context, component, unit).await,
        Step::Depool => pool::undo_depool(context).await,
        Step::Preflight
        | Step::Drain
        | Step::ProveCordoned
        | Step::HandEtcdOver { .. }
        | Step::Restart { .. }
        | Step::Start { .. }
        | Step::Reboot { .. }
        | Step::ProveUnits
        | Step::ProveEtcd
        | Step::Pool { .. }
        | Step::ProveControlPlane { .. }
        | Step::ProveReady { .. }
        | Step::Uncordon { .. }
        | Step::Rebalance { .. }
        | Step::Gap { .. } => Ok(()),
    }
}

/// Waits, and gives way to an interrupt at once: nothing is half done in a gap.
async fn gap(context: &Context<'_>, wait: std::time::Duration) -> Result<(), Problem> {
    context.waiting(format!("letting clients find it for {}", text::took(wait)));
    tokio::select! {
        biased;
        () = context.interrupt.requested() => Ok(()),
        () = tokio::time::sleep(wait) => Ok(()),
    }
}
