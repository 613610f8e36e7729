//! `usher agent`: break-glass. One agent, from the cluster file's addresses, with the Kubernetes API up or down.

mod audit;
mod cancel;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use usher_common::clock;

use super::{cluster, confirm::confirm, identity, site};
use crate::{
    agents::{Agent, AgentStatus, Agents, Inhibitor, Order, ReplacedBinary, Task, UnitStatus, asked_by},
    cli::{AgentCommand, ChangeFlags, DryRun, Global},
    exit::Exit,
    output,
    problem::Problem,
    show::{self, Kind},
    site::Site,
    tasks::{self, NoReboot},
    text,
};

pub(super) async fn run(global: &Global, command: AgentCommand) -> Result<Exit, Problem> {
    let site = site(global)?;
    match command {
        AgentCommand::Status { node } => status(global, &agent(global, &site, &node).await?).await,
        AgentCommand::Units { node } => units(global, &agent(global, &site, &node).await?).await,
        AgentCommand::Audit { node, limit } => audit::run(global, &agent(global, &site, &node).await?, limit).await,
        AgentCommand::Restart { node, unit, change } => {
            let agent = agent(global, &site, &node).await?;
            let unit = site.component(&unit).map_or(unit, |component| component.unit.clone());
            restart(global, &site, &agent, &node, &unit, &change).await
        }
        AgentCommand::Cancel { node, operation, change } => {
            let agent = agent(global, &site, &node).await?;
            cancel::run(global, &agent, (&node, &operation), &change).await
        }
        AgentCommand::Reboot { node, override_blocker, change } => {
            let agent = agent(global, &site, &node).await?;
            reboot(global, &site, &agent, &node, &override_blocker, &change).await
        }
    }
}

/// The agent at its configured address; only without one is Kubernetes asked for the Node's.
async fn agent(global: &Global, site: &Site, node: &str) -> Result<Agent, Problem> {
    let mut internal_ips = BTreeMap::new();
    if !site.agents.addresses.contains_key(node) && site.agents.address.is_none() {
        let cluster = cluster(global, site).await?;
        cluster.version().await.map_err(|error| {
            Problem::from(error)
                .hint(format!("without the API, {node} needs an address in the cluster file: [agents.addresses]"))
        })?;
        internal_ips.insert(node.to_owned(), cluster.node(node).await?.internal_ips());
    }
    Ok(Agents::new(site, internal_ips)?.agent(node)?)
}

async fn status(global: &Global, agent: &Agent) -> Result<Exit, Problem> {
    const OPERATIONS_SHOWN: u32 = 10;
    let status = agent.status().await?;
    let operations = agent.operations(OPERATIONS_SHOWN).await?;
    let document = Described { status: &status, operations: &operations };
    show::show(Kind::AgentStatus, &document, global.output, || document.to_text(clock::now()))?;
    Ok(Exit::Done)
}

/// An agent's own account of its machine.
#[derive(Serialize)]
struct Described<'a> {
    status: &'a AgentStatus,
    operations: &'a [Task],
}

impl Described<'_> {
    fn to_text(&self, now: Timestamp) -> String {
        let Self { status, operations } = self;
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push(format!("{name:<18} {value}"));
        line("machine", format!("{} (host name {})", status.name, status.hostname));
        line("agent", status.agent_version.clone());
        // Without a version it has a problem, which is among the warnings.
        if let Some(ReplacedBinary { version: Some(version), problem, .. }) = &status.replaced_binary {
            let when = if problem.is_none() { "runs once the agent is idle" } else { "would not start" };
            line("installed agent", format!("{version}: {when}"));
        }
        let up = status.booted_at.map(|at| format!(", up {}", text::age(at, now))).unwrap_or_default();
        line("boot", format!("{}{up}", status.boot_id));
        let installed = status.kernel_installed.as_deref().unwrap_or("unknown");
        line("kernel", format!("{} (installed: {installed})", status.kernel_running));
        let wanted = if status.reboot_required { status.reboot_packages.join(", ") } else { "no".to_owned() };
        line("reboot wanted", if wanted.is_empty() { "yes".to_owned() } else { wanted });
        line("reboots in 24h", format!("{} of {}", status.reboot_budget.used, status.reboot_budget.allowed));
        line("epoch", status.highest_epoch.to_string());
        if let Some(until) = status.certificate_not_after {
            line("certificate", format!("valid until {until}"));
        }
        for hold in &status.holds {
            line("HELD", format!("{} ({})", hold.said(), hold.requester));
        }
        if let Some(hold) = status.held_by_file() {
            line("HELD", format!("{}: {}", hold.path, hold.text.trim()));
        }
        for wanted in &status.wanted_restarts {
            line("restart wanted", format!("{}: {}", wanted.unit, wanted.why()));
        }
        for start in &status.unannounced {
            let at = start.at.map(|at| format!("{at}: ")).unwrap_or_default();
            let (before, after) = (text::short_id(&start.before), text::short_id(&start.after));
            line("past usher", format!("{at}{} ({before} → {after})", start.what()));
        }
        for inhibitor in &status.inhibitors {
            let Inhibitor { who, mode, why, what, .. } = inhibitor;
            line("inhibitor", format!("{who} ({mode}): {why} [{what}]"));
        }
        if let Some(shutdown) = &status.scheduled_shutdown {
            line("SCHEDULED", shutdown.said());
        }
        if let Some(why) = &status.reboot_refused {
            line("NO REBOOT", why.clone());
        }
        for session in &status.sessions {
            line("logged in", format!("{} (session {})", session.user, session.id));
        }
        for file in &status.lock_files {
            line("lock file", file.clone());
        }
        for warning in &status.warnings {
            line("WARNING", warning.clone());
        }
        if !operations.is_empty() {
            lines.push(String::new());
            let rows = operations.iter().map(|operation| operation_row(operation, now));
            lines.push(output::table(&["OPERATION", "WHAT", "STATE", "AGE", "BY", "REASON"], rows));
        }
        lines.join("\n")
    }
}

fn operation_row(operation: &Task, now: Timestamp) -> Vec<String> {
    let what = operation.unit.clone().unwrap_or_else(|| "reboot".to_owned());
    let state = match &operation.failure {
        Some(failure) => format!("failed: {}", failure.message),
        None if operation.has_ended() => "succeeded".to_owned(),
        None => "running".to_owned(),
    };
    let age = operation.started_at.map(|at| text::age(at, now)).unwrap_or_default();
    let order = &operation.order;
    let by = asked_by(&order.requester, &operation.caller);
    vec![operation.id.clone(), what, state, age, by, order.reason.clone()]
}

async fn units(global: &Global, agent: &Agent) -> Result<Exit, Problem> {
    let status = agent.status().await?;
    show::list(Kind::UnitList, &status.units, global.output, || unit_table(&status.units, clock::now()))?;
    Ok(Exit::Done)
}

fn unit_table(units: &[UnitStatus], now: Timestamp) -> String {
    let rows = units.iter().map(|unit| {
        vec![
            unit.name.clone(),
            format!("{} ({})", unit.active_state, unit.sub_state),
            unit.active_since.map_or_else(|| "-".to_owned(), |at| text::age(at, now)),
            unit.invocation_id.as_deref().map_or_else(|| "-".to_owned(), text::short_id),
            unit.restarts.to_string(),
            unit.result.clone(),
            unit_file(unit),
            unit.probe_url.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    output::table(&["UNIT", "STATE", "SINCE", "INVOCATION", "RESTARTS", "RESULT", "FILE", "PROBE"], rows)
}

/// The state of a unit's file, and whether systemd has not read the file since it changed.
fn unit_file(unit: &UnitStatus) -> String {
    let state = unit.file_state.as_deref().unwrap_or("-");
    if unit.needs_daemon_reload { format!("{state} (changed, not reloaded)") } else { state.to_owned() }
}

async fn restart(
    global: &Global,
    site: &Site,
    agent: &Agent,
    node: &str,
    unit: &str,
    change: &ChangeFlags,
) -> Result<Exit, Problem> {
    let status = agent.status().await?;
    let known = status.unit(unit).ok_or_else(|| {
        let names: Vec<_> = status.units.iter().map(|unit| unit.name.as_str()).collect();
        Problem::refused(format!("the agent on {node} does not manage {unit}"))
            .hint(format!("units: {}", names.join(", ")))
    })?;
    // A stopped unit keeps its identity, and agents restart only what runs: here the operator sees that it does not, and wants it up.
    let before = known.invocation_id.as_deref().filter(|_| known.active_state != "inactive");
    let (verb, done) = if before.is_some() { ("restart", "restarted") } else { ("start", "started") };
    say(node, &format!("{verb} {unit} ({} now)", known.active_state), change);
    let order = order(change, status.highest_epoch);
    if order.dry_run {
        let tried = match before {
            Some(invocation_id) => agent.restart_unit(&order, unit, invocation_id).await?,
            None => agent.start_unit(&order, unit).await?,
        };
        return ended(global, &tried, "the agent would do it");
    }
    confirm(node, change.yes)?;
    let limit = site.defaults.restart_timeout;
    let message = |message: &str| output::progress(&format!("  {message}"));
    let task = tasks::restart_unit(agent, &order, unit, before, limit, message).await?;
    ended(global, &task, &format!("{unit} on {node} {done}"))
}

async fn reboot(
    global: &Global,
    site: &Site,
    agent: &Agent,
    node: &str,
    override_blockers: &[String],
    change: &ChangeFlags,
) -> Result<Exit, Problem> {
    let status = agent.status().await?;
    say(node, "reboot without cordon or drain", change);
    let order = order(change, status.highest_epoch);
    if order.dry_run {
        let tried = agent.reboot(&order, &status.boot_id, override_blockers).await?;
        return ended(global, &tried, "the agent would do it");
    }
    confirm(node, change.yes)?;
    let limit = site.defaults.reboot_timeout;
    let after = tasks::reboot(agent, &order, &status.boot_id, override_blockers, limit).await;
    let after = after.map_err(|ended| match ended {
        NoReboot::NotRebooted(problem) | NoReboot::InDoubt(problem) => problem,
    })?;
    output::progress(&format!("  boot {} → {}", text::short_id(&status.boot_id), text::short_id(&after.boot_id)));
    // The proof is the new boot; the agent shows the task's own record if it still has it.
    let done = format!("{node} rebooted");
    match agent.operation(&order.operation_id).await {
        Ok(task) => ended(global, &task, &done),
        Err(_) => {
            let id = serde_json::json!({"id": order.operation_id});
            show::show(Kind::Task, &id, global.output, || done)?;
            Ok(Exit::Done)
        }
    }
}

fn say(node: &str, what: &str, change: &ChangeFlags) {
    let dry = if change.dry_run != DryRun::None { " · nothing is changed by a dry run" } else { "" };
    output::progress(&format!("{node} alone, past lock, leaders and Kubernetes: {what}{dry}"));
}

/// Without the lock there is no epoch of our own: the highest that the agent knows is not lower, and fences nobody out.
fn order(change: &ChangeFlags, highest_epoch: u64) -> Order {
    Order {
        operation_id: usher_core::operation::new_id(),
        epoch: highest_epoch,
        reason: change.reason.clone().unwrap_or_else(|| "dry run".to_owned()),
        task_id: change.task_id.clone(),
        requester: identity::requester(),
        dry_run: change.dry_run != DryRun::None,
    }
}

fn ended(global: &Global, task: &Task, done: &str) -> Result<Exit, Problem> {
    show::show(Kind::Task, task, global.output, || done.to_owned())?;
    Ok(Exit::Done)
}
