//! The way of every change: facts, plan, confirmation, lock, run, report.

use serde::Serialize;
use tokio::time::Instant;

use super::{confirm::confirm, failure::Failure, identity, preflight};
use crate::{
    cli::{Change, DryRun, Global},
    cluster::{Lock, LockRequest},
    drain::{self, Confirm, DrainPreview},
    event::{Events, Kind},
    exit::Exit,
    interrupt::Interrupt,
    inventory::Inventory,
    leader::Leadership,
    output,
    plan::{self, Plan, Request},
    progress,
    report::{self, Report},
    runner::{Outcome, Run},
    show,
    step::Step,
    steps::{Mandate, Policy},
    words,
    world::{Scope, World},
};

/// A change that the operator wants.
pub(super) struct Wanted {
    /// The command: `restart`, `reboot`, …
    pub(super) command: &'static str,
    pub(super) request: Request,
    pub(super) policy: Policy,
    pub(super) scope: Scope,
    /// Cordon and uncordon are one write each and need no lock.
    pub(super) locked: bool,
}

/// Plans it, asks, runs it, reports.
pub(super) async fn carry_out(
    global: &Global,
    world: &World,
    change: &Change,
    wanted: Wanted,
) -> Result<Exit, Failure> {
    let dry = if change.dry_run != DryRun::None { " · nothing is changed by a dry run" } else { "" };
    if change.dry_run == DryRun::None && change.reason.is_none() {
        return Err(Failure::usage("a change needs a reason: --reason TEXT"));
    }
    output::progress(&format!("{} · {}{dry}", world.cluster.name(), world.cluster.server()));
    let facts = world.first_facts(&wanted.scope).await?;
    let plan = plan::make(&wanted.request, &[], &facts, &world.site)?;
    if change.dry_run != DryRun::None {
        let confirm = if change.dry_run == DryRun::Server { Confirm::Everything } else { Confirm::Nothing };
        return show_plan(global, world, &wanted, &plan, confirm).await;
    }
    if plan.turns.is_empty() {
        show::show(show::Kind::Plan, &Planned { plan: &plan, drains: &[] }, global.output, || {
            "nothing to do".to_owned()
        })?;
        return Ok(Exit::Done);
    }
    output::progress(&plan.to_text(&world.site));
    let drains = drains(world, &wanted, &plan, Confirm::Never).await?;
    preflight::verdict(&drains, &wanted.policy.drain)?;
    preflight::lines(&drains).iter().for_each(|line| output::progress(line));
    confirm(world.cluster.name(), change.yes)?;

    let operation = identity::operation();
    let reason = change.reason.clone().unwrap_or_default();
    let interrupt = listen()?;
    let lock = match wanted.locked {
        true => tokio::select! {
            biased;
            lock = acquire(world, change, &operation, &facts) => Some(lock?),
            // A holder that seems dead is watched for up to a minute.
            () = interrupt.requested() => return Err(Failure::new(Exit::Interrupted, "interrupted before it began")),
        },
        false => None,
    };
    // What was true when the operator was asked may not be now; from here on nobody else's usher changes anything.
    let planned = match world.facts(&wanted.scope).await {
        Ok(facts) => {
            plan::make(&wanted.request, &[], &facts, &world.site).map(|plan| (plan, facts)).map_err(Failure::from)
        }
        Err(error) => Err(error.into()),
    };
    let planned = match planned {
        Ok(planned) => planned,
        Err(failure) => {
            release(lock, &interrupt).await;
            return Err(failure);
        }
    };
    let mandate = Mandate::new(
        operation,
        wanted.command,
        reason,
        change.task_id.clone(),
        identity::requester(),
        lock.as_ref().map(Lock::epoch).unwrap_or_default(),
    );
    let exit = run(global, world, &wanted, &mandate, lock.as_ref(), &interrupt, planned).await;
    release(lock, &interrupt).await;
    exit
}

fn listen() -> Result<Interrupt, Failure> {
    Interrupt::listen(|| {
        output::progress("stopping before the next step that changes something (again: leave at once) …");
    })
    .map_err(|error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}")))
}

async fn acquire(world: &World, change: &Change, operation: &str, facts: &Inventory) -> Result<Lock, Failure> {
    let request = LockRequest {
        operation: operation.to_owned(),
        requester: identity::requester(),
        reason: change.reason.clone().unwrap_or_default(),
        task_id: change.task_id.clone(),
        above_epoch: facts.highest_epoch(),
    };
    Ok(world.cluster.acquire_lock(&request).await?)
}

async fn release(lock: Option<Lock>, interrupt: &Interrupt) {
    let Some(lock) = lock else { return };
    let why = match interrupt.parting(lock.release()).await {
        Some(Ok(())) => return,
        Some(Err(error)) => words::chain(&error),
        None => "the API did not answer in time".to_owned(),
    };
    output::progress(&format!("Warning: the lock was not given back and expires by itself: {why}"));
}

/// A plan, and what the drains in it would find.
#[derive(Serialize)]
struct Planned<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    drains: &'a [DrainPreview],
}

/// The plan of a dry run. It ends as the real run would if that would be refused.
async fn show_plan(
    global: &Global,
    world: &World,
    wanted: &Wanted,
    plan: &Plan,
    confirm: Confirm,
) -> Result<Exit, Failure> {
    let drains = drains(world, wanted, plan, confirm).await?;
    show::show(show::Kind::Plan, &Planned { plan, drains: &drains }, global.output, || {
        let mut lines = vec![plan.to_text(&world.site)];
        lines.extend(preflight::lines(&drains));
        if matches!(wanted.request, Request::Restart(_)) && plan.turns.len() > 1 {
            lines.push("The order follows the leaders: it is read again before each machine.".to_owned());
        }
        lines.join("\n")
    })?;
    preflight::short_verdict(&drains, &wanted.policy.drain)
}

/// What the drains of a plan would find: again for each machine right before its turn, as things change.
async fn drains(world: &World, wanted: &Wanted, plan: &Plan, confirm: Confirm) -> Result<Vec<DrainPreview>, Failure> {
    let drained = plan.turns.iter().filter(|turn| turn.steps.contains(&Step::Drain));
    let nodes: Vec<_> = drained.map(|turn| turn.machine.clone()).collect();
    Ok(world.drainer.previews(&nodes, &wanted.policy.drain, confirm).await?)
}

async fn run(
    global: &Global,
    world: &World,
    wanted: &Wanted,
    mandate: &Mandate,
    lock: Option<&Lock>,
    interrupt: &Interrupt,
    (plan, before): (Plan, Inventory),
) -> Result<Exit, Failure> {
    let (events, stream) = Events::new();
    let reading = tokio::spawn(progress::show(global.progress, stream));
    let begun = Instant::now();
    events.send(Kind::Began {
        operation: mandate.operation.clone(),
        command: mandate.command.to_owned(),
        cluster: world.cluster.name().to_owned(),
        reason: mandate.reason.clone(),
    });
    let running = Run {
        world,
        request: &wanted.request,
        mandate,
        policy: &wanted.policy,
        scope: &wanted.scope,
        lock,
        interrupt,
        events: &events,
    };
    let outcome = tokio::select! {
        biased;
        outcome = running.to_end(plan) => outcome,
        () = interrupt.insisted() => {
            drop(events);
            let _ = interrupt.parting(reading).await;
            return Err(Failure::new(Exit::Interrupted, "left at once: the machine in its turn may be half done")
                .hint("see how things are: usher status"));
        }
    };
    let took = begun.elapsed();
    let (mut summary, next) = report::summary(&wanted.request, &outcome, took, &mandate.reason);
    if outcome.exit == Exit::Done && matches!(wanted.request, Request::Restart(_)) {
        summary.push_str(&interrupt.parting(leaders_now(world, wanted, &before)).await.unwrap_or_default());
    }
    events.send(Kind::Ended { exit: outcome.exit, message: summary.clone() });
    drop(events);
    let turns = reading.await.unwrap_or_default();
    let pods = interrupt.parting(whereabouts(world, &outcome)).await.flatten();
    let report = Report {
        operation: mandate.operation.clone(),
        cluster: world.cluster.name().to_owned(),
        exit: outcome.exit,
        exit_code: outcome.exit.code(),
        summary,
        details: outcome.details,
        next,
        took: took.as_secs_f64(),
        turns,
        drained: outcome.moved.keys().cloned().collect(),
        pods,
    };
    if report.exit == Exit::Done || global.output.is_structured() {
        show::show(show::Kind::Report, &report, global.output, || report.to_text())?;
    } else {
        output::progress(&report.to_text());
    }
    Ok(report.exit)
}

/// Who leads after a roll, compared with before.
async fn leaders_now(world: &World, wanted: &Wanted, before: &Inventory) -> String {
    let Ok(after) = world.facts(&wanted.scope).await else { return String::new() };
    let machine = |leadership: &Leadership| leadership.machine().unwrap_or("nobody").to_owned();
    let leaders: Vec<_> =
        after.leaders.iter().map(|(component, leadership)| format!("{component} {}", machine(leadership))).collect();
    let moved = after
        .leaders
        .iter()
        .any(|(component, leadership)| before.leaders.get(component).map(machine) != Some(machine(leadership)));
    let how = if moved { "Leaders now" } else { "Leaders as before" };
    if leaders.is_empty() { String::new() } else { format!(" {how}: {}.", leaders.join(", ")) }
}

/// Where the pods that were moved run now.
async fn whereabouts(world: &World, outcome: &Outcome) -> Option<drain::Whereabouts> {
    let moved: Vec<_> = outcome.moved.values().flatten().cloned().collect();
    if moved.is_empty() {
        return None;
    }
    drain::whereabouts(world.cluster.client(), &moved).await.ok()
}
