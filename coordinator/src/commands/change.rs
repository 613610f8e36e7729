//! What the commands of every change have in common: show the plan, ask, carry it out, report.

use std::collections::BTreeSet;

use serde::Serialize;
use usher_core::{drain::DrainOptions, nodeset::words, operation::new_id};

use super::{confirm::confirm_machines, identity, interrupt::listen, preflight};
use crate::{
    cli::{ChangeFlags, DryRun, Global},
    cluster::Cluster,
    drain::{Confirm, DrainPreview},
    event::{Events, Kind},
    exit::Exit,
    metrics::{self, Textfile},
    operation::{self, Planned},
    output,
    plan::{Plan, Turn},
    problem::Problem,
    progress::{self, Listeners},
    rebalance::RebalancePreview,
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
    carry_out_with(global, world, flags, kind, None).await
}

/// The same of a rebalance of which it is known already what would move.
pub(super) async fn carry_out_with(
    global: &Global,
    world: &World,
    flags: &ChangeFlags,
    kind: request::Kind,
    moves: Option<RebalancePreview>,
) -> Result<Exit, Problem> {
    let dry_run = flags.dry_run != DryRun::None;
    let reason = match (&flags.reason, dry_run) {
        (Some(reason), _) => reason.clone(),
        (None, true) => String::new(),
        (None, false) => return Err(Problem::usage("a change needs a reason: --reason TEXT")),
    };
    let request = Request { kind, reason, task_id: flags.task_id.clone(), connection: global.connection() };
    headline(&world.cluster, dry_run);

    let planned = operation::plan_with(world, &request, confirmation(flags.dry_run), moves).await?;
    let options = request.drain_options(&world.site).unwrap_or_default();
    if planned.plan.turns.is_empty() {
        let document = PlannedDocument { plan: &planned.plan, drains: &[], rebalance: None };
        show::show(show::Kind::Plan, &document, global.output, || nothing_to_do(&request, &planned.plan))?;
        return Ok(Exit::Done);
    }
    if dry_run {
        return show_plan(global, world, &request, &planned, &options);
    }
    if let Some(rebalance) = planned.rebalance.as_ref().filter(|rebalance| rebalance.moves.is_empty()) {
        let document = PlannedDocument { plan: &planned.plan, drains: &[], rebalance: Some(rebalance) };
        let text = || [vec!["nothing to do".to_owned()], rebalance_lines(rebalance)].concat().join("\n");
        show::show(show::Kind::Plan, &document, global.output, text)?;
        return Ok(Exit::Done);
    }
    let mut lines = vec![planned.plan.to_text(&world.site).trim_end().to_owned()];
    lines.extend(planned.rebalance.iter().flat_map(rebalance_lines));
    lines.extend(follow_up(&request, &planned.plan));
    let refusal = operation::refusal(&planned.drains, &options);
    if refusal.is_none() {
        // The refusal says it all again.
        lines.extend(preflight::lines(&planned.drains));
    }
    let planned_event =
        || planned.plan.as_event(lines.iter().flat_map(|line| line.lines()).map(str::to_owned).collect());
    output::told(planned_event, &lines);
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let machines: BTreeSet<_> = planned.plan.turns.iter().map(Turn::machine).collect();
    confirm_machines(world.cluster.name(), machines.len(), flags.yes)?;
    run(global, world, &request, &planned).await
}

fn nothing_to_do(request: &Request, plan: &Plan) -> String {
    let why = match &request.kind {
        request::Kind::Restart(restart) if restart.wanted => ": nobody on these machines waits for a restart",
        _ => "",
    };
    let warnings = plan.warnings.iter().map(|warning| format!("\nWarning: {warning}"));
    format!("nothing to do{why}{}", warnings.collect::<String>())
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
    let interrupt = listen("stopping before the next step that changes something (again: leave at once) …")?;
    let (events, stream) = Events::new();
    let reading = tokio::spawn(progress::show(global.progress, stream, listeners(world)));
    let operation = new_id();
    let mandate = (operation.clone(), identity::requester());
    let ended = operation::carry_out(world, request, mandate, planned, &interrupt, &events).await;
    let report = ended.map(|ended| Report::of(&operation, world.cluster.name(), request, ended));
    if let Ok(report) = &report {
        let Report { exit, summary, details, next, .. } = report;
        let (message, details, next) = (summary.clone(), details.clone(), next.clone());
        events.send(Kind::Ended { exit: *exit, message, details, next });
    }
    drop(events);
    // A terminal that takes no output must not hold up an operator who insists.
    let (digest, listeners) = interrupt.parting(reading).await.and_then(Result::ok).unwrap_or_default();
    for wrong in listeners.end(report.as_ref()).await {
        output::warning(&wrong);
    }
    let report = report?.with(digest);
    show::report(show::Kind::Report, &report, report.exit, global.output, || report.to_text())
}

/// The file of metrics, if the site or the environment wants one; a trace, if the environment names a collector, which the agents are
/// told from now on.
fn listeners(world: &World) -> Listeners {
    let textfile = world.site.metrics.textfile_of(world.cluster.name(), std::env::var_os(metrics::VARIABLE));
    #[cfg(feature = "otel")]
    let traces = crate::traces::Traces::wanted().unwrap_or_else(|wrong| {
        output::warning(&format!("there will be no trace: {wrong}"));
        None
    });
    #[cfg(feature = "otel")]
    if let Some(traces) = &traces {
        world.agents.join_trace(traces.parent());
    }
    Listeners {
        metrics: textfile.and_then(Textfile::at),
        #[cfg(feature = "otel")]
        traces,
    }
}

/// A plan, and what the drains in it would find.
#[derive(Serialize)]
struct PlannedDocument<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    drains: &'a [DrainPreview],
    #[serde(skip_serializing_if = "Option::is_none")]
    rebalance: Option<&'a RebalancePreview>,
}

fn rebalance_lines(preview: &RebalancePreview) -> Vec<String> {
    preview.lines(output::table)
}

/// What comes after the turns of a reboot, if that is wanted.
fn follow_up(request: &Request, plan: &Plan) -> Option<String> {
    let machines = plan.turns.iter().map(|turn| turn.machine().to_owned()).collect();
    let request::Kind::Rebalance(rebalance) = request.rebalance_of(machines)?.kind else { return None };
    Some(format!("Then pods are moved back to {}, one at a time.", words(&rebalance.nodes)))
}

/// The plan of a dry run. It ends as the real run would if that would be refused.
fn show_plan(
    global: &Global,
    world: &World,
    request: &Request,
    planned: &Planned,
    options: &DrainOptions,
) -> Result<Exit, Problem> {
    let Planned { plan, drains, rebalance, .. } = planned;
    let document = PlannedDocument { plan, drains, rebalance: rebalance.as_ref() };
    show::show(show::Kind::Plan, &document, global.output, || {
        let mut lines = vec![plan.to_text(&world.site)];
        lines.extend(rebalance.iter().flat_map(rebalance_lines));
        lines.extend(follow_up(request, plan));
        lines.extend(preflight::lines(drains));
        if matches!(request.kind, request::Kind::Restart(_)) && plan.turns.len() > 1 {
            lines.push("The order follows the leaders: it is read again before each machine.".to_owned());
        }
        lines.join("\n")
    })?;
    operation::short_refusal(drains, options).map_or(Ok(Exit::Done), Err)
}
