//! The drain of a Node, and where its pods went.

use super::{Context, How, StepError, cordon::remember_node};
use crate::{
    drain::{self, DrainError, Remains},
    step::Step,
    words,
};

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
    let client = context.world.cluster.client().clone();
    let (events, number, word) = (context.events.clone(), context.number, step.word());
    let mut progress = |progress: drain::DrainProgress| {
        events.send(crate::event::Kind::Waiting { turn: number, step: word.into(), what: progress.to_string() });
    };
    let run = drain::run(&client, &machine, &context.policy.drain, &mut progress);
    // Evictions that the server took cannot be taken back, but no more need follow.
    let drained = tokio::select! {
        drained = run => drained,
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

fn in_words(machine: &str, error: &DrainError) -> StepError {
    let how = match error {
        DrainError::TimedOut { .. } => How::TimedOut,
        DrainError::Never { .. } => How::Refused,
        DrainError::Refused { .. } if error.nothing_was_evicted() => How::Refused,
        _ => How::Failed,
    };
    let now = jiff::Timestamp::now();
    let Remains { moved, leaving, blocked, failed, waiting } = error.remains();
    let blocked = blocked.iter().map(|blocked| {
        let since = words::age(blocked.since, now);
        format!("{}: {} (refused for {since})", blocked.pod, blocked.message)
    });
    let failed = failed.iter().map(|failed| format!("{}: {}", failed.pod, failed.message));
    let leaving = leaving.iter().map(|pod| format!("{pod}: told to go, has not ended"));
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
    let error = StepError::new(how, message).details(never);
    error.details(blocked.chain(failed).chain(leaving).chain(waiting))
}
