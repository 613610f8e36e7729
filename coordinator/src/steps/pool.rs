//! The machine's apiserver out of the load balancer's pool and back, by the site's own commands, seen by new connections.

use std::{cell::RefCell, time::Duration};

use tokio::time::sleep;
use usher_common::chain;

use super::{
    Context, evidence,
    wait::{Look, until},
};
use crate::{
    exec::{self, CommandOutcome},
    problem::{Kind, Problem},
    rotation::{self, Rotation},
    site::LoadBalancer,
    text,
};

/// A balancer's slowest usual checks (5 s apart, three of them) take a quarter of this.
const POOL_CHANGES_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn depool(context: &mut Context<'_>) -> Result<(), Problem> {
    let Some(balancer) = &context.world.site.load_balancer else { return Ok(()) };
    let commands = balancer.commands_for(context.machine());
    let Some(depool) = &commands.depool else { return Ok(()) };
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

pub(super) async fn pool(context: &mut Context<'_>) -> Result<(), Problem> {
    let Some(balancer) = &context.world.site.load_balancer else { return Ok(()) };
    let commands = balancer.commands_for(context.machine());
    if let Some(pool) = &commands.pool {
        run(context, balancer, pool).await.map_err(|error| still_out(error, context, pool))?;
        context.progress.depooled = false;
        context.fact("pooled");
    }
    if let Some(check) = &commands.check {
        await_check(context, balancer, check, true).await?;
    }
    if let Some(url) = &balancer.url {
        in_rotation(context, url).await?;
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
        let argv = filled(context, &pool).join(" ");
        return Err(Problem::failed(format!(
            "{} stays out of the load balancer's pool: {}",
            context.machine(),
            error.message
        ))
        .hint(format!("when its apiserver is ready: {argv}")));
    }
    run(context, balancer, &pool).await.map_err(|error| still_out(error, context, &pool))?;
    context.progress.depooled = false;
    context.undone("back in the pool");
    Ok(())
}

fn still_out(error: Problem, context: &Context<'_>, pool: &[String]) -> Problem {
    let argv = filled(context, pool).join(" ");
    error.hint(format!("{} is out of the pool; put it back: {argv}", context.machine()))
}

async fn run(context: &Context<'_>, balancer: &LoadBalancer, argv: &[String]) -> Result<(), Problem> {
    context.waiting(format!("running {}", filled(context, argv).join(" ")));
    let outcome = execute(context, balancer, argv).await?;
    if outcome.succeeded() {
        return Ok(());
    }
    let how = if outcome.timed_out { Kind::TimedOut } else { Kind::Failed };
    Err(Problem::new(how, format!("{}: {}", outcome.argv.join(" "), outcome.how()))
        .details(outcome.output.into_iter().map(|line| format!("  {line}"))))
}

/// Runs the site's `check` until it says what is wanted: 0 is in the pool, anything else is out.
async fn await_check(
    context: &Context<'_>,
    balancer: &LoadBalancer,
    check: &[String],
    wanted_in: bool,
) -> Result<(), Problem> {
    let last = RefCell::new(None::<CommandOutcome>);
    let look = async || {
        let outcome = execute(context, balancer, check).await?;
        Ok(match outcome.exit.is_some() && outcome.succeeded() == wanted_in {
            true => Look::Done(()),
            false => {
                last.replace(Some(outcome));
                let what = if wanted_in { "in" } else { "out of" };
                Look::NotYet(format!("waiting until the balancer has it {what} the pool"))
            }
        })
    };
    until(
        POOL_CHANGES_WITHIN,
        look,
        |why| context.waiting(why),
        |_| {
            let state = if wanted_in { "not in the pool" } else { "still in the pool" };
            let within = text::took(POOL_CHANGES_WITHIN);
            let last = last.take();
            let said =
                last.as_ref().map(|last| format!("{} ({})", last.argv.join(" "), last.how())).unwrap_or_default();
            Problem::timed_out(format!("{} is {state} after {within}, says {said}", context.machine()))
                .details(last.into_iter().flat_map(|last| last.output))
        },
    )
    .await
}

async fn execute(context: &Context<'_>, balancer: &LoadBalancer, argv: &[String]) -> Result<CommandOutcome, Problem> {
    let address = context.world.agents.host(context.machine())?;
    let values = [("node", context.machine()), ("address", address.as_str())];
    Ok(exec::run(argv, &values, balancer.command_timeout).await)
}

fn filled(context: &Context<'_>, argv: &[String]) -> Vec<String> {
    let address = context.world.agents.host(context.machine()).unwrap_or_default();
    argv.iter().map(|word| word.replace("{node}", context.machine()).replace("{address}", &address)).collect()
}

/// Opens new connections to the balancer until one of them ends at this machine's apiserver.
async fn in_rotation(context: &Context<'_>, url: &str) -> Result<(), Problem> {
    let machine = context.machine();
    let Some(own) = context.world.apiserver_url(machine)? else { return Ok(()) };
    let mut others = Vec::new();
    for other in context.world.control_plane().iter().filter(|other| *other != machine) {
        others.extend(context.world.apiserver_url(other)?);
    }
    context.waiting("looking for it behind the load balancer");
    let rotation =
        rotation::await_in_rotation(context.world.agents.dial(), url, &own, &others, POOL_CHANGES_WITHIN).await;
    let blind = match rotation {
        Ok(Rotation::Seen { .. }) => {
            context.fact("seen in rotation");
            return Ok(());
        }
        Ok(Rotation::SharedCertificate { other }) => format!("it serves the same certificate as {other}"),
        Ok(Rotation::EndsTls) => "the balancer shows a certificate of its own".to_owned(),
        Ok(Rotation::NotSeen { connections, failure }) => {
            let within = text::took(POOL_CHANGES_WITHIN);
            let message =
                format!("{machine} was not met behind {url} in {connections} new connections within {within}");
            return Err(Problem::timed_out(message)
                .details(failure)
                .hint("look at the load balancer's own state; the apiserver itself is ready"));
        }
        Err(error) => return Err(Problem::failed(chain(&error))),
    };
    context.events.warn(format!(
        "{machine} cannot be told apart behind {url} ({blind}); a check command under [load_balancer] would tell"
    ));
    Ok(())
}
