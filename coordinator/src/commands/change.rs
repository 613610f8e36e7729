//! What the commands of every change have in common: show the plan, ask, carry it out, report.

use serde::Serialize;
use usher_core::{drain::DrainOptions, operation::new_id};

use super::{confirm::confirm, identity, preflight};
use crate::{
    cli::{ChangeFlags, DryRun, Global},
    cluster::Cluster,
    drain::{Confirm, DrainPreview},
    event::{Events, Kind},
    exit::Exit,
    interrupt::Interrupt,
    operation::{self, Planned},
    output,
    plan::Plan,
    problem::Problem,
    progress,
    report::Report,
    request::{self, Request},
    show,
    world::World,
};

/// Plans it, asks, runs it, reports.
pub(super) async fn carry_out(
    global: &Global,
    world: &World,
    flags: &ChangeFlags,
    kind: request::Kind,
) -> Result<Exit, Problem> {
    let dry_run = flags.dry_run != DryRun::None;
    let reason = match (&flags.reason, dry_run) {
        (Some(reason), _) => reason.clone(),
        (None, true) => String::new(),
        (None, false) => return Err(Problem::usage("a change needs a reason: --reason TEXT")),
    };
    let request = Request { kind, reason, task_id: flags.task_id.clone(), connection: global.connection() };
    headline(&world.cluster, dry_run);

    let planned = operation::plan(world, &request, confirmation(flags.dry_run)).await?;
    let options = request.drain_options(&world.site).unwrap_or_default();
    if dry_run {
        return show_plan(global, world, &request, &planned, &options);
    }
    if planned.plan.turns.is_empty() {
        let document = PlannedDocument { plan: &planned.plan, drains: &[] };
        show::show(show::Kind::Plan, &document, global.output, || "nothing to do".to_owned())?;
        return Ok(Exit::Done);
    }
    output::progress(&planned.plan.to_text(&world.site));
    if let Some(refusal) = operation::refusal(&planned.drains, &options) {
        return Err(refusal);
    }
    preflight::lines(&planned.drains).iter().for_each(|line| output::progress(line));
    confirm(world.cluster.name(), flags.yes)?;
    run(global, world, &request, &planned).await
}

/// Says which cluster would be changed and as whom, above everything else.
pub(super) fn headline(cluster: &Cluster, dry_run: bool) {
    let user = cluster.user().map(|user| format!(" · as {user}")).unwrap_or_default();
    let dry = if dry_run { " · nothing is changed by a dry run" } else { "" };
    output::progress(&format!("{} · {}{user}{dry}", cluster.name(), cluster.server()));
}

/// How the drains of a plan are looked into.
fn confirmation(dry_run: DryRun) -> Confirm {
    match dry_run {
        DryRun::None => Confirm::Never,
        DryRun::Client => Confirm::Nothing,
        DryRun::Server => Confirm::Everything,
    }
}

async fn run(global: &Global, world: &World, request: &Request, planned: &Planned) -> Result<Exit, Problem> {
    let interrupt = Interrupt::listen(|| {
        output::progress("stopping before the next step that changes something (again: leave at once) …");
    })
    .map_err(|error| Problem::failed(format!("cannot listen for signals: {error}")))?;
    let (events, stream) = Events::new();
    let reading = tokio::spawn(progress::show(global.progress, stream));
    let operation = new_id();
    let mandate = (operation.clone(), identity::requester());
    let ended = operation::carry_out(world, request, mandate, planned, &interrupt, &events).await;
    let report = ended.map(|ended| Report::of(&operation, world.cluster.name(), request, ended));
    if let Ok(report) = &report {
        events.send(Kind::Ended { exit: report.exit, message: report.summary.clone() });
    }
    drop(events);
    // A terminal that takes no output must not hold up an operator who insists.
    let digest = interrupt.parting(reading).await.and_then(Result::ok).unwrap_or_default();
    let report = report?.with(digest);
    if report.exit == Exit::Done || global.output.is_structured() {
        show::show(show::Kind::Report, &report, global.output, || report.to_text())?;
    } else {
        output::progress(&report.to_text());
    }
    Ok(report.exit)
}

/// A plan, and what the drains in it would find.
#[derive(Serialize)]
struct PlannedDocument<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    drains: &'a [DrainPreview],
}

/// The plan of a dry run. It ends as the real run would if that would be refused.
fn show_plan(
    global: &Global,
    world: &World,
    request: &Request,
    planned: &Planned,
    options: &DrainOptions,
) -> Result<Exit, Problem> {
    let Planned { plan, drains, .. } = planned;
    show::show(show::Kind::Plan, &PlannedDocument { plan, drains }, global.output, || {
        let mut lines = vec![plan.to_text(&world.site)];
        lines.extend(preflight::lines(drains));
        if matches!(request.kind, request::Kind::Restart(_)) && plan.turns.len() > 1 {
            lines.push("The order follows the leaders: it is read again before each machine.".to_owned());
        }
        lines.join("\n")
    })?;
    operation::short_refusal(drains, options).map_or(Ok(Exit::Done), Err)
}
