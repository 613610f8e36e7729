//! The drain of a Node, and where its pods went.

use std::{cell::RefCell, convert::Infallible, time::Duration};

use futures::future;
use tokio::{sync::watch, time::sleep};

use super::Context;
use crate::{
    cluster::Elections, drain::DrainProgress, event::Kind, facts::leader::Leadership, problem::Problem,
    site::Component, text, world::World,
};

/// The component that counts budgets anew when pods come and go.
const REFILLS_BUDGETS: &str = "kube-controller-manager";

/// How often to check that a kube-controller-manager leads, while a pod waits for a budget.
const LOOK_FOR_A_LEADER: Duration = Duration::from_secs(1);

/// How often a blocked drain is mentioned although nothing has changed.
const REMIND: Duration = Duration::from_secs(5);

/// Looks whether every pod can be evicted at all, before anything is changed.
pub(super) async fn preflight(context: &Context<'_>) -> Result<(), Problem> {
    Ok(context.world.drainer().await.check(context.node(), context.drain).await?)
}

pub(super) async fn drain(context: &mut Context<'_>) -> Result<(), Problem> {
    let (machine, node) = (context.machine(), context.node());
    let world = context.world;
    let refilled = watch::Sender::new(None);
    let stop = watch::Sender::new(false);
    let drainer = world.drainer().await.with_budget_leader(refilled.subscribe()).with_stop(stop.subscribe());
    let (events, number, word) = (context.events.clone(), context.call.turn, context.word);
    let (last, said) = watch::channel(DrainProgress::default());
    let say = |progress: &DrainProgress| {
        events.send(Kind::Waiting { turn: number, step: word.into(), what: progress.to_string() });
    };
    let mut progress = |progress: DrainProgress| {
        say(&progress);
        let before = last.send_replace(progress);
        for escalated in last.borrow().escalated.iter().skip(before.escalated.len()) {
            events.warn(format!("{}: {}", escalated.pod, escalated.what));
        }
    };
    let look_for_a_leader = look_for_a_leader(world, last.subscribe(), &refilled);
    // An operator who watches a blocked pod wants to see that time passes.
    let remind = async {
        loop {
            sleep(REMIND).await;
            let progress = said.borrow();
            if !progress.blocked.is_empty() {
                say(&progress);
            }
        }
    };
    // Evictions that the server took cannot be taken back, but no more need follow.
    let stopped = RefCell::new(None);
    let stop_it = async {
        let why = context.must_stop(format!("the drain of {machine} was interrupted")).await;
        stopped.replace(Some(why));
        stop.send_replace(true);
        future::pending().await
    };
    let drained = tokio::select! {
        biased;
        never = stop_it => match never {},
        drained = drainer.drain(node, context.drain, &mut progress) => drained,
        never = remind => match never {},
        never = look_for_a_leader => match never {},
    };
    match drained {
        Ok(drained) => {
            let gone = drained.moved.len();
            context.fact(format!("{} gone in {}", text::count(gone, "pod"), text::took(drained.took)));
            context.progress.moved.extend(drained.moved);
            Ok(())
        }
        Err(error) => {
            context.progress.moved.extend(error.remains().moved.iter().cloned());
            Err(stopped.take().unwrap_or_else(|| error.into()))
        }
    }
}

/// Watches who replenishes budgets, once a pod waits for one. Never ends.
async fn look_for_a_leader(
    world: &World,
    mut progress: watch::Receiver<DrainProgress>,
    refilled: &watch::Sender<Option<bool>>,
) -> Infallible {
    if progress.wait_for(|progress| !progress.blocked.is_empty()).await.is_err() {
        return future::pending().await;
    }
    let elections = world.elections().await;
    loop {
        refilled.send_replace(budgets_are_refilled(world, elections));
        sleep(LOOK_FOR_A_LEADER).await;
    }
}

/// Whether kube-controller-manager has a leader; None if the site has none that is elected, or nothing is certain yet.
fn budgets_are_refilled(world: &World, elections: &Elections) -> Option<bool> {
    let lease = world.site.component(REFILLS_BUDGETS).and_then(Component::lease)?;
    match elections.leadership_so_far(&lease)? {
        Leadership::Held(_) => Some(true),
        Leadership::Stale(_) | Leadership::Free => Some(false),
        // Elected elsewhere, or not elected at all.
        Leadership::Absent => None,
    }
}
