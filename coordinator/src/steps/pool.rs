//! The machine's apiserver out of the load balancer's pool and back, by the site's own commands, seen by new connections.

use std::cell::RefCell;

use futures::future::try_join_all;
use tokio::time::sleep;
use usher_common::chain;

use super::{Context, evidence};
use crate::{
    exec::{self, Answer, CommandOutcome},
    left_behind::{self, typed},
    problem::{Kind, Problem},
    rotation::{self, Rotation},
    site::LoadBalancer,
    text,
    wait::{Look, until},
    world::World,
};

/// How often in a row a check may be unable to tell before the wait for "out" ends: its connection or its balancer may be back soon.
const UNABLE_TO_TELL: usize = 3;

pub(super) async fn depool(context: &mut Context<'_>) -> Result<(), Problem> {
    let Some(balancer) = &context.world.site.load_balancer else { return Ok(()) };
    let machine = context.machine();
    let commands = balancer.commands_for(machine);
    let Some(depool) = &commands.depool else { return Ok(()) };
    if is_out_already(context, balancer).await? {
        let back = left_behind::pool_command(balancer, machine, context.world);
        let back = back.map(|argv| format!("; to put it back: {argv}")).unwrap_or_default();
        context.events.warn(format!("{machine} was out of the load balancer's pool before, and stays out{back}"));
        context.progress.was_out = true;
        return Ok(());
    }
    // Whatever the command answers, the machine may be out from here on.
    context.progress.depooled = true;
    run(context, balancer, depool).await?;
    if let Some(check) = &commands.check {
        await_check(context, balancer, check, false).await?;
    }
    if !balancer.settle.is_zero() {
        context.waiting("letting connections that were handed out before finish");
        sleep(balancer.settle).await;
    }
    context.fact("depooled");
    Ok(())
}

/// Whether the machine is out of the pool by somebody else's doing. It may only leave the pool if another machine is in it: an apiserver
/// that is ready gets no requests unless it is in.
async fn is_out_already(context: &Context<'_>, balancer: &LoadBalancer) -> Result<bool, Problem> {
    let machine = context.machine();
    let checked: Vec<_> = context
        .world
        .control_plane()
        .iter()
        .filter_map(|name| Some((name.as_str(), balancer.commands_for(name).check?)))
        .collect();
    if !checked.iter().any(|(name, _)| *name == machine) {
        return Ok(false);
    }
    context.waiting("asking who is in the load balancer's pool");
    let asked = checked
        .iter()
        .map(async |(name, check)| Ok::<_, Problem>((*name, execute(context.world, name, balancer, check).await?)));
    let said = try_join_all(asked).await?;
    let (own, others): (Vec<_>, Vec<_>) = said.iter().partition(|(name, _)| *name == machine);
    if own.iter().any(|(_, check)| check.answer() == Answer::No) {
        return Ok(true);
    }
    if !others.is_empty() && !others.iter().any(|(_, check)| check.answer() == Answer::Yes) {
        let mut problem = Problem::failed(format!(
            "{machine} stays in the load balancer's pool: by your check, none of the others is in it"
        ));
        for (name, check) in others {
            problem = match check.answer() {
                Answer::Unknown => problem.detail(format!("{name}: {}", in_words(check))),
                Answer::Yes | Answer::No => {
                    let back = left_behind::pool_command(balancer, name, context.world);
                    problem.detail(format!("{name} is out")).hint(format!(
                        "when the apiserver of {name} is ready, put it back: {}",
                        back.unwrap_or_else(|| "by hand".to_owned())
                    ))
                }
            };
        }
        return Err(problem);
    }
    let out: Vec<_> = others.iter().filter(|(_, check)| check.answer() == Answer::No).map(|(name, _)| *name).collect();
    if !out.is_empty() {
        context.events.warn(format!("out of the load balancer's pool by somebody else's doing: {}", text::list(&out)));
    }
    Ok(false)
}

pub(super) async fn pool(context: &mut Context<'_>) -> Result<(), Problem> {
    let Some(balancer) = &context.world.site.load_balancer else { return Ok(()) };
    let commands = balancer.commands_for(context.machine());
    // Whatever the turn has proved so far: one that is not ready gets no requests by our doing.
    evidence::await_apiserver(context).await?;
    if context.progress.was_out {
        context.fact("left out of the pool, as it was before");
        return Ok(());
    }
    if let Some(pool) = &commands.pool {
        run(context, balancer, pool).await.map_err(|error| still_out(error, context, pool))?;
        context.progress.depooled = false;
        context.fact("pooled");
    }
    if let Some(check) = &commands.check {
        await_check(context, balancer, check, true).await?;
    }
    if let Some(url) = &balancer.url {
        in_rotation(context, balancer, url, commands.check.is_some()).await?;
    }
    Ok(())
}

/// Puts the machine back if its apiserver is healthy; else says that it is out, and how to put it back.
pub(super) async fn undo_depool(context: &mut Context<'_>) -> Result<(), Problem> {
    if !context.progress.depooled {
        return Ok(());
    }
    let Some(balancer) = &context.world.site.load_balancer else { return Ok(()) };
    let Some(pool) = balancer.commands_for(context.machine()).pool else {
        return Err(Problem::failed(format!("{} is out of the load balancer's pool", context.machine()))
            .hint("put it back by hand: the cluster file names no pool command"));
    };
    if let Err(error) = evidence::apiserver_is_ready(context).await {
        return Err(Problem::failed(format!(
            "{} stays out of the load balancer's pool: {}",
            context.machine(),
            error.message
        ))
        .hint(format!("when its apiserver is ready: {}", typed(&pool, context.machine(), context.world))));
    }
    run(context, balancer, &pool).await.map_err(|error| still_out(error, context, &pool))?;
    context.progress.depooled = false;
    context.undone("back in the pool");
    Ok(())
}

fn still_out(error: Problem, context: &Context<'_>, pool: &[String]) -> Problem {
    let machine = context.machine();
    error.hint(format!("{machine} is out of the pool; put it back: {}", typed(pool, machine, context.world)))
}

/// A command that has ended, and how.
fn in_words(outcome: &CommandOutcome) -> String {
    format!("{} ({})", text::command(&outcome.argv), outcome.how())
}

async fn run(context: &Context<'_>, balancer: &LoadBalancer, argv: &[String]) -> Result<(), Problem> {
    context.waiting(format!("running {}", typed(argv, context.machine(), context.world)));
    let outcome = execute(context.world, context.machine(), balancer, argv).await?;
    if outcome.succeeded() {
        return Ok(());
    }
    let how = if outcome.timed_out { Kind::TimedOut } else { Kind::Failed };
    Err(Problem::new(how, format!("{}: {}", text::command(&outcome.argv), outcome.how()))
        .details(outcome.output.into_iter().map(|line| format!("  {line}"))))
}

/// Runs the site's `check` until it says what is wanted. One that cannot tell proves nothing; where the machine is to be out, that ends
/// the wait soon.
async fn await_check(
    context: &Context<'_>,
    balancer: &LoadBalancer,
    check: &[String],
    wanted_in: bool,
) -> Result<(), Problem> {
    let machine = context.machine();
    let last = RefCell::new(None::<CommandOutcome>);
    let mut unable = 0;
    let look = async || {
        let outcome = execute(context.world, machine, balancer, check).await?;
        match (outcome.answer(), wanted_in) {
            (Answer::Yes, true) | (Answer::No, false) => return Ok(Look::Done(())),
            (Answer::Unknown, false) if unable + 1 == UNABLE_TO_TELL => {
                let said = in_words(&outcome);
                return Err(Problem::failed(format!("whether {machine} is out of the pool is not known: {said}"))
                    .details(outcome.output)
                    .hint("a check exits with 0 if the machine is in the pool, and with 1 if it is out"));
            }
            (Answer::Unknown, _) => unable += 1,
            _ => unable = 0,
        }
        last.replace(Some(outcome));
        let what = if wanted_in { "in" } else { "out of" };
        Ok(Look::NotYet(format!("waiting until the balancer has it {what} the pool")))
    };
    until(
        balancer.pool_timeout,
        look,
        |why| context.waiting(why),
        |_| {
            let state = if wanted_in { "not in the pool" } else { "still in the pool" };
            let within = text::took(balancer.pool_timeout);
            let last = last.take();
            let said = last.as_ref().map(in_words);
            Problem::timed_out(format!("{machine} is {state} after {within}, says {}", said.unwrap_or_default()))
                .details(last.into_iter().flat_map(|last| last.output))
        },
    )
    .await
}

async fn execute(
    world: &World,
    machine: &str,
    balancer: &LoadBalancer,
    argv: &[String],
) -> Result<CommandOutcome, Problem> {
    let address = world.agents.host(machine)?;
    let values = [("node", machine), ("address", address.as_str())];
    Ok(exec::run(argv, &values, balancer.command_timeout).await)
}

/// Opens new connections to the balancer until one of them ends at this machine's apiserver.
/// `checked` tells whether the site's own check has said that it is in the pool.
async fn in_rotation(context: &Context<'_>, balancer: &LoadBalancer, url: &str, checked: bool) -> Result<(), Problem> {
    let machine = context.machine();
    let Some(own) = context.world.apiserver_at(machine)?.map(|at| at.url) else { return Ok(()) };
    let mut others = Vec::new();
    for other in context.world.control_plane().iter().filter(|other| *other != machine) {
        others.extend(context.world.apiserver_at(other)?.map(|at| at.url));
    }
    context.waiting("looking for it behind the load balancer");
    let rotation =
        rotation::await_in_rotation(context.world.agents.dial(), url, &own, &others, balancer.pool_timeout).await;
    let blind = match rotation {
        Ok(Rotation::Seen { .. }) => {
            context.fact("seen in rotation");
            return Ok(());
        }
        Ok(Rotation::SharedCertificate { other }) => format!("it serves the same certificate as {other}"),
        Ok(Rotation::EndsTls) => "the balancer shows a certificate of its own".to_owned(),
        // That says nothing about this machine, and the check has said that it is in.
        Ok(Rotation::Sticky { other, connections }) if checked => {
            format!("each of {connections} connections met {other}: it seems to keep a client on one server")
        }
        Ok(Rotation::Sticky { other, connections }) => {
            let within = text::took(balancer.pool_timeout);
            let message = format!(
                "{machine} was not met behind {url}: each of {connections} new connections within {within} met {other}"
            );
            return Err(Problem::timed_out(message)
                .hint("a balancer that keeps a client on one server shows no other; name a check command under [load_balancer]"));
        }
        Ok(Rotation::NotSeen { connections, failure }) => {
            let within = text::took(balancer.pool_timeout);
            let message =
                format!("{machine} was not met behind {url} in {connections} new connections within {within}");
            return Err(Problem::timed_out(message)
                .details(failure)
                .hint("look at the load balancer's own state; the apiserver itself is ready"));
        }
        Err(error) => return Err(Problem::failed(chain(&error))),
    };
    let but = match checked {
        true => "your check command says that it is in the pool",
        false => "a check command under [load_balancer] would tell",
    };
    context.events.warn(format!("{machine} cannot be told apart behind {url} ({blind}); {but}"));
    Ok(())
}
