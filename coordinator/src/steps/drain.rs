//! The drain of a Node, and where its pods went.

use std::time::Duration;

use tokio::{sync::watch, time::sleep};

use super::{Context, How, StepError, cordon::remember_node};
use crate::{
    drain::{self, DrainError, Drainer, Remains},
    event::Kind,
    leader::Leadership,
    step::Step,
    words,
    world::World,
};

/// The component that counts budgets anew when pods come and go.
const REFILLS_BUDGETS: &str = "kube-controller-manager";

/// How often a blocked drain is mentioned although nothing has changed.
const REMIND: Duration = Duration::from_secs(5);

/// Whether the drain that the turn comes to may begin. Asked before its first change.
pub(super) async fn check(context: &Context<'_>) -> Result<(), StepError> {
    let machine = context.machine();
    let client = context.world.cluster.client();
    drain::check(client, machine, &context.policy.drain).await.map_err(|error| in_words(machine, &error))
}

pub(super) async fn drain(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    remember_node(context).await?;
    // A turn that begins with the cordon has asked before it.
    if context.turn.steps.first() == Some(step) {
        check(context).await?;
    }
    let machine = context.machine().to_owned();
    let world = context.world;
    let refill = || budgets_are_refilled(world);
    let drainer = Drainer::new(world.cluster.client().clone()).asking(&refill);
    let (events, number, word) = (context.events.clone(), context.number, step.word());
    let (last, said) = watch::channel(drain::DrainProgress::default());
    let say = |progress: &drain::DrainProgress| {
        events.send(Kind::Waiting { turn: number, step: word.into(), what: progress.to_string() });
    };
    let mut progress = |progress: drain::DrainProgress| {
        say(&progress);
        last.send_replace(progress);
    };
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
        () = context.interrupt.requested() => {
            return Err(StepError::new(How::Interrupted, format!("the drain of {machine} was interrupted")));
        }
    };
    match drained {
        Ok(drained) => {
            let gone = drained.moved.len();
            context.fact(step, format!("{} gone in {}", words::count(gone, "pod"), words::took(drained.took)));
            context.state.moved.extend(drained.moved);
            Ok(())
        }
        Err(error) => {
            context.state.moved.extend(error.remains().moved.iter().cloned());
            Err(in_words(&machine, &error))
        }
    }
}

/// Whether kube-controller-manager has a leader; None if the site has none that is elected, or nothing is certain yet.
fn budgets_are_refilled(world: &World) -> Option<bool> {
    let lease = World::lease(world.site.component(REFILLS_BUDGETS)?)?;
    match world.elections.leadership_so_far(&lease)? {
        Leadership::Held(_) => Some(true),
        Leadership::Stale(_) | Leadership::Free => Some(false),
        // Elected elsewhere, or not elected at all.
        Leadership::Absent => None,
    }
}

fn in_words(machine: &str, error: &DrainError) -> StepError {
    let how = match error {
        DrainError::TimedOut { .. } => How::TimedOut,
        DrainError::Never { .. } => How::Refused,
        DrainError::Refused { .. } if error.nothing_was_evicted() => How::Refused,
        _ => How::Failed,
    };
    let now = jiff::Timestamp::now();
    let Remains { moved, leaving, blocked, failed, waiting, finishing, not_refilled_since } = error.remains();
    let blocked = blocked.iter().map(|blocked| {
        let since = words::age(blocked.since, now);
        format!("{}: {} (refused for {since})", blocked.pod, blocked.message)
    });
    let failed = failed.iter().map(|failed| format!("{}: {}", failed.pod, failed.message));
    let leaving = leaving.iter().map(|pod| format!("{pod}: told to go, has not ended"));
    let finishing = finishing.iter().map(|pod| format!("{pod}: was to end by itself, has not"));
    let waiting = waiting.iter().map(|pod| format!("{pod}: its eviction was not answered yet"));
    let message = match error {
        DrainError::TimedOut { waited, .. } => {
            format!("{machine} was not empty after {}: {} gone", words::took(*waited), words::count(moved.len(), "pod"))
        }
        error => words::chain(error),
    };
    let never = match error {
        DrainError::Never { pods, .. } => drain::never_lines(pods),
        _ => Vec::new(),
    };
    let unled = not_refilled_since.map(|since| {
        let since = words::age(since, now);
        format!("no kube-controller-manager has led for {since}: budgets do not refill, their pods are not stuck")
    });
    let error = StepError::new(how, message).details(never).details(unled);
    error.details(blocked.chain(failed).chain(leaving).chain(finishing).chain(waiting))
}
