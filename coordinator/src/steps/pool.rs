//! The machine's apiserver out of the load balancer's pool and back, by the site's own commands, seen by new connections.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Context, How, StepError};
use crate::{
    exec::{self, CommandOutcome},
    rotation::{self, Rotation},
    site::LoadBalancer,
    step::Step,
    words,
};

/// Between two runs of the `check` command, or two looks through the balancer.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A balancer's slowest usual checks (5 s apart, three of them) take a quarter of this.
const POOL_CHANGES_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn depool(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    let Some(balancer) = &context.world.site.load_balancer else { return Ok(()) };
    let commands = balancer.commands_for(context.machine());
    let Some(depool) = &commands.depool else { return Ok(()) };
    // Whatever the command answers, the machine may be out from here on.
    context.state.depooled = true;
    run(step, context, balancer, depool).await?;
    if let Some(check) = &commands.check {
        await_check(step, context, balancer, check, false).await?;
    }
    if !balancer.settle.is_zero() {
        context.waiting(step, "letting connections that were handed out before finish");
        sleep(balancer.settle).await;
    }
    context.fact(step, "depooled");
    Ok(())
}

pub(super) async fn pool(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    let Some(balancer) = &context.world.site.load_balancer else { return Ok(()) };
    let commands = balancer.commands_for(context.machine());
    if let Some(pool) = &commands.pool {
        run(step, context, balancer, pool).await.map_err(|error| still_out(error, context, pool))?;
        context.state.depooled = false;
        context.fact(step, "pooled");
    }
    if let Some(check) = &commands.check {
        await_check(step, context, balancer, check, true).await?;
    }
    if let Some(url) = &balancer.url {
        in_rotation(step, context, url).await?;
    }
    Ok(())
}

/// Puts the machine back if its apiserver is healthy; else says that it is out, and how to put it back.
pub(super) async fn undo_depool(step: &Step, context: &mut Context<'_>) -> Result<(), StepError> {
    if !context.state.depooled {
        return Ok(());
    }
    let Some(balancer) = &context.world.site.load_balancer else { return Ok(()) };
    let Some(pool) = balancer.commands_for(context.machine()).pool else {
        return Err(StepError::failed(format!("{} is out of the load balancer's pool", context.machine()))
            .hint("put it back by hand: the cluster file names no pool command"));
    };
    if let Err(error) = super::ready::apiserver_is_ready(context).await {
        let argv = filled(context, &pool).join(" ");
        return Err(StepError::failed(format!(
            "{} stays out of the load balancer's pool: {}",
            context.machine(),
            error.message
        ))
        .hint(format!("when its apiserver is ready: {argv}")));
    }
    run(step, context, balancer, &pool).await.map_err(|error| still_out(error, context, &pool))?;
    context.state.depooled = false;
    context.undone(step, "back in the pool");
    Ok(())
}

fn still_out(error: StepError, context: &Context<'_>, pool: &[String]) -> StepError {
    let argv = filled(context, pool).join(" ");
    error.hint(format!("{} is out of the pool; put it back: {argv}", context.machine()))
}

async fn run(step: &Step, context: &Context<'_>, balancer: &LoadBalancer, argv: &[String]) -> Result<(), StepError> {
    context.waiting(step, format!("running {}", filled(context, argv).join(" ")));
    let outcome = execute(context, balancer, argv).await?;
    if outcome.succeeded() {
        return Ok(());
    }
    let how = if outcome.timed_out { How::TimedOut } else { How::Failed };
    Err(StepError::new(how, format!("{}: {}", outcome.argv.join(" "), outcome.how()))
        .details(outcome.output.into_iter().map(|line| format!("  {line}"))))
}

/// Runs the site's `check` until it says what is wanted: 0 is in the pool, anything else is out.
async fn await_check(
    step: &Step,
    context: &Context<'_>,
    balancer: &LoadBalancer,
    check: &[String],
    wanted_in: bool,
) -> Result<(), StepError> {
    let deadline = Instant::now() + POOL_CHANGES_WITHIN;
    loop {
        let outcome = execute(context, balancer, check).await?;
        if outcome.exit.is_some() && outcome.succeeded() == wanted_in {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let state = if wanted_in { "not in the pool" } else { "still in the pool" };
            let within = words::took(POOL_CHANGES_WITHIN);
            let said = format!("{} ({})", outcome.argv.join(" "), outcome.how());
            let message = format!("{} is {state} after {within}, says {said}", context.machine());
            return Err(StepError::timed_out(message).details(outcome.output));
        }
        let what = if wanted_in { "in" } else { "out of" };
        context.waiting(step, format!("waiting until the balancer has it {what} the pool"));
        sleep(LOOK_AGAIN).await;
    }
}

async fn execute(context: &Context<'_>, balancer: &LoadBalancer, argv: &[String]) -> Result<CommandOutcome, StepError> {
    let address = context.world.agents.host(context.machine())?;
    let values = [("node", context.machine()), ("address", address.as_str())];
    Ok(exec::run(argv, &values, balancer.command_timeout).await)
}

fn filled(context: &Context<'_>, argv: &[String]) -> Vec<String> {
    let address = context.world.agents.host(context.machine()).unwrap_or_default();
    argv.iter().map(|word| word.replace("{node}", context.machine()).replace("{address}", &address)).collect()
}

/// Opens new connections to the balancer until one of them ends at this machine's apiserver.
async fn in_rotation(step: &Step, context: &Context<'_>, url: &str) -> Result<(), StepError> {
    let machine = context.machine();
    let Some(own) = context.world.apiserver_url(machine)? else { return Ok(()) };
    let mut others = Vec::new();
    for other in context.world.control_plane().iter().filter(|other| *other != machine) {
        others.extend(context.world.apiserver_url(other)?);
    }
    context.waiting(step, "looking for it behind the load balancer");
    let rotation = rotation::await_in_rotation(url, &own, &others, POOL_CHANGES_WITHIN).await;
    let blind = match rotation {
        Ok(Rotation::Seen { .. }) => {
            context.fact(step, "seen in rotation");
            return Ok(());
        }
        Ok(Rotation::SharedCertificate { other }) => format!("it serves the same certificate as {other}"),
        Ok(Rotation::EndsTls) => "the balancer shows a certificate of its own".to_owned(),
        Ok(Rotation::NotSeen { connections, failure }) => {
            let within = words::took(POOL_CHANGES_WITHIN);
            let message =
                format!("{machine} was not met behind {url} in {connections} new connections within {within}");
            return Err(StepError::timed_out(message)
                .details(failure)
                .hint("look at the load balancer's own state; the apiserver itself is ready"));
        }
        Err(error) => return Err(StepError::failed(words::chain(&error))),
    };
    context.events.warn(format!(
        "{machine} cannot be told apart behind {url} ({blind}); a check command under [load_balancer] would tell"
    ));
    Ok(())
}
