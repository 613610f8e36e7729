//! The rebalance of a Node: pods that move to it, a few at a time.

use super::Context;
use crate::{
    event::Kind,
    problem::Problem,
    rebalance::{Rebalancer, Stage, Turn},
    text,
};

/// `among`, `max_moves` and `at_a_time` are those of the step.
pub(super) async fn rebalance(
    context: &mut Context<'_>,
    among: &[String],
    max_moves: Option<usize>,
    at_a_time: usize,
) -> Result<(), Problem> {
    let ready_within = context.world.site.defaults.ready_timeout;
    let turn = Turn { to: context.node(), among, max_moves, at_a_time, ready_within };
    let (events, number, word) = (context.events.clone(), context.call.turn, context.word);
    let mut told = |stage: Stage<'_>| {
        let (turn, step) = (number, word.to_owned());
        match stage {
            Stage::Waiting(what) => events.send(Kind::Waiting { turn, step, what }),
            Stage::Moved(moved) => {
                let place = if moved.wanted { "" } else { " instead, where the scheduler put it" };
                let (pod, from, to, took) = (&moved.pod, &moved.from, &moved.to, text::took(moved.took));
                let what = format!("{pod} moved from {from} to {to}{place}: {} ready after {took}", moved.successor);
                events.send(Kind::Fact { turn, step, what });
            }
            Stage::Warned(message) => events.warn(message),
        }
    };
    let drainer = context.world.drainer().await;
    let rebalancer = Rebalancer::new(&drainer, context.drain);
    let must_stop = context.must_stop(Problem::interrupted("between two moves"));
    let moved = &mut context.progress.relocated;
    // The controller of a pod that was evicted goes on by itself, but no further pod need follow.
    let ended = tokio::select! {
        biased;
        problem = must_stop => Err(problem),
        ended = rebalancer.run(&turn, moved, &mut told) => ended.map_err(Problem::from),
    };
    let pods = text::count(context.progress.relocated.len(), "pod");
    match ended {
        Ok(rebalanced) => {
            context.fact(format!("{pods} moved; {}", rebalanced.to_text()));
            Ok(())
        }
        Err(problem) => Err(problem.detail(format!("{pods} moved until then; they run where they are"))),
    }
}
