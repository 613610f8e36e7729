//! The drain of a Node, and where its pods went.

use std::time::Duration;

use futures::future;
use jiff::Timestamp;
use tokio::{sync::watch, time::sleep};

use super::{Context, How, StepError, cordon};
use crate::{
    cluster::Elections,
    drain::{self, DrainError, DrainProgress},
    event::Kind,
    leader::Leadership,
    step::Step,
    words,
    world::World,
};

/// The component that counts budgets anew when pods come and go.
const REFILLS_BUDGETS: &str = "kube-controller-manager";

/// How often is asked who refills budgets, while a pod waits for one.
const LOOK_FOR_A_LEADER: Duration = Duration::from_secs(1);

/// How often a blocked drain is mentioned although nothing has changed.
const REMIND: Duration = Duration::from_secs(5);

/// Whether the drain that the turn comes to may begin. Asked before its first change.
pub(super) async fn check(context: &Context<'_>) -> Result<(), StepError> {
    let checked = context.world.drainer.check(context.machine(), &context.policy.drain).await;
    checked.map_err(|error| in_words(&error))
}

pub(super) async fn drain(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    // A turn that begins with the cordon has asked before it.
    if context.turn.steps.first() == Some(step) {
        check(context).await?;
    }
    let machine = context.machine().to_owned();
    let world = context.world;
    let refilled = watch::Sender::new(None);
    let drainer = world.drainer.clone().with_budget_leader(refilled.subscribe());
    let (events, number, word) = (context.events.clone(), context.number, step.word());
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
    // Whoever watches a blocked pod wants to see that time passes.
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
    let drained = tokio::select! {
        drained = drainer.drain(&machine, &context.policy.drain, &mut progress) => drained,
        () = remind => return Ok(()),
        () = look_for_a_leader => return Ok(()),
        () = context.interrupt.requested() => {
            return Err(StepError::new(How::Interrupted, format!("the drain of {machine} was interrupted")));
        }
    };
    match drained {
        Ok(drained) => {
            let gone = drained.moved.len();
            context.fact(step, format!("{} gone in {}", words::count(gone, "pod"), words::took(drained.took)));
            context.state.moved.extend(drained.moved);
            look_at_the_node(step, context).await
        }
        Err(error) => {
            context.state.moved.extend(error.remains().moved.iter().cloned());
            Err(in_words(&error))
        }
    }
}

/// What somebody else did to the Node meanwhile. Where a reboot follows, it is looked at right before that.
async fn look_at_the_node(step: &Step, context: &Context<'_>) -> Result<(), StepError> {
    let machine = context.machine();
    if context.turn.steps.last() != Some(step) {
        return Ok(());
    }
    match context.world.cluster.node(machine).await {
        Ok(node) => return cordon::is_kept(context, &node),
        Err(error) if error.is_not_found() => context.fact(step, "the Node was deleted meanwhile"),
        Err(error) => context.events.warn(format!(
            "{machine} is drained; whether it is still cordoned could not be seen: {}",
            words::chain(&error)
        )),
    }
    Ok(())
}

/// Keeps an eye on who refills budgets, once a pod waits for one. Never ends.
async fn look_for_a_leader(
    world: &World,
    mut progress: watch::Receiver<DrainProgress>,
    refilled: &watch::Sender<Option<bool>>,
) {
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
    let lease = World::lease(world.site.component(REFILLS_BUDGETS)?)?;
    match elections.leadership_so_far(&lease)? {
        Leadership::Held(_) => Some(true),
        Leadership::Stale(_) | Leadership::Free => Some(false),
        // Elected elsewhere, or not elected at all.
        Leadership::Absent => None,
    }
}

fn in_words(error: &DrainError) -> StepError {
    let how = match error {
        DrainError::TimedOut { .. } => How::TimedOut,
        DrainError::Never { .. } => How::Refused,
        DrainError::Refused { .. } if error.nothing_was_evicted() => How::Refused,
        _ => How::Failed,
    };
    let never = match error {
        DrainError::Never { pods, .. } => drain::never_lines(pods),
        _ => Vec::new(),
    };
    StepError::new(how, words::chain(error)).details(never).details(error.remains().lines(Timestamp::now()))
}
