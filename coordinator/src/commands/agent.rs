//! `usher agent`: break-glass. One agent, from the cluster file's addresses, with the Kubernetes API up or down.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{cluster, confirm::confirm, identity, site};
use crate::{
    cli::{AgentCommand, ChangeFlags, DryRun, Global},
    exit::Exit,
    node::{Agent, Agents, Operation, Order},
    output::{self, Format},
    problem::Problem,
    site::Site,
    tasks::{self, NoReboot},
    words,
};

pub(super) async fn run(global: &Global, command: AgentCommand) -> Result<Exit, Problem> {
    let site = site(global)?;
    match command {
        AgentCommand::Status { node } => status(global, &agent(global, &site, &node).await?).await,
        AgentCommand::Units { node } => units(global, &agent(global, &site, &node).await?).await,
        AgentCommand::Restart { node, unit, change } => {
            let agent = agent(global, &site, &node).await?;
            let unit = site.component(&unit).map_or(unit, |component| component.unit.clone());
            restart(global, &site, &agent, &node, &unit, &change).await
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
        internal_ips.extend(cluster.node(node).await?.internal_ip.map(|address| (node.to_owned(), address)));
    }
    Ok(Agents::new(site, internal_ips)?.agent(node)?)
}

async fn status(global: &Global, agent: &Agent) -> Result<Exit, Problem> {
    const OPERATIONS_SHOWN: u32 = 10;
    let status = agent.status().await?;
    let operations = agent.operations(OPERATIONS_SHOWN).await?;
    if matches!(global.output, Format::Json | Format::Yaml) {
        let value = serde_json::json!({"status": status, "operations": operations});
        output::result(&output::structured(&value, global.output)?);
        return Ok(Exit::Done);
    }
    let now = Timestamp::now();
    let installed = status.kernel_installed.clone().unwrap_or_else(|| "unknown".to_owned());
    let line = |name: &str, value: String| output::result(&format!("{name:<18} {value}"));
    line("machine", format!("{} (host name {})", status.name, status.hostname));
    line("agent", status.agent_version.clone());
    let up = status.booted_at.map(|at| format!(", up {}", words::age(at, now))).unwrap_or_default();
    line("boot", format!("{}{up}", status.boot_id));
    line("kernel", format!("{} (installed: {installed})", status.kernel_running));
    let wanted = if status.reboot_required { status.reboot_packages.join(", ") } else { "no".to_owned() };
    line("reboot wanted", if wanted.is_empty() { "yes".to_owned() } else { wanted });
    line("reboots in 24h", format!("{} of {}", status.reboot_budget.used, status.reboot_budget.allowed));
    line("epoch", status.highest_epoch.to_string());
    if let Some(until) = status.certificate_not_after {
        line("certificate", format!("valid until {until}"));
    }
    if let Some(hold) = &status.hold {
        line("HELD", format!("{}: {}", hold.path, hold.text.trim()));
    }
    for inhibitor in &status.inhibitors {
        line("inhibitor", format!("{} ({}): {} [{}]", inhibitor.who, inhibitor.mode, inhibitor.why, inhibitor.what));
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
        output::result("");
        let rows = operations.iter().map(|operation| operation_row(operation, now));
        output::result(&output::table(&["OPERATION", "WHAT", "STATE", "AGE", "BY", "REASON"], rows));
    }
    Ok(Exit::Done)
}

fn operation_row(operation: &Operation, now: Timestamp) -> Vec<String> {
    let what = operation.unit.clone().unwrap_or_else(|| "reboot".to_owned());
    let state = match &operation.failure {
        Some(failure) => format!("failed: {}", failure.message),
        None if operation.has_ended() => "succeeded".to_owned(),
        None => "running".to_owned(),
    };
    let age = operation.started_at.map(|at| words::age(at, now)).unwrap_or_default();
    let order = &operation.order;
    vec![operation.id.clone(), what, state, age, order.requester.clone(), order.reason.clone()]
}

async fn units(global: &Global, agent: &Agent) -> Result<Exit, Problem> {
    let status = agent.status().await?;
    if matches!(global.output, Format::Json | Format::Yaml) {
        output::result(&output::structured(&status.units, global.output)?);
        return Ok(Exit::Done);
    }
    let now = Timestamp::now();
    let rows = status.units.iter().map(|unit| {
        vec![
            unit.name.clone(),
            format!("{} ({})", unit.active_state, unit.sub_state),
            unit.active_since.map_or_else(|| "-".to_owned(), |at| words::age(at, now)),
            unit.invocation_id.as_deref().map_or_else(|| "-".to_owned(), words::short_id),
            unit.restarts.to_string(),
            unit.result.clone(),
            unit.probe_url.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    output::result(&output::table(&["UNIT", "STATE", "SINCE", "INVOCATION", "RESTARTS", "RESULT", "PROBE"], rows));
    Ok(Exit::Done)
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
    let before = known.invocation_id.as_deref();
    say(node, &format!("restart {unit} ({} now)", known.active_state), change);
    let order = order(change, status.highest_epoch);
    if order.dry_run {
        let tried = match before {
            Some(invocation_id) => agent.restart_unit(&order, unit, invocation_id).await?,
            None => agent.start_unit(&order, unit).await?,
        };
        return show(global, Some(&tried), "the agent would do it");
    }
    confirm(node, change.yes)?;
    let limit = site.defaults.restart_timeout;
    let message = |message: &str| output::progress(&format!("  {message}"));
    let ended = tasks::restart_unit(agent, &order, unit, before, limit, message).await?;
    show(global, Some(&ended), &format!("{unit} on {node} restarted"))
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
        return show(global, Some(&tried), "the agent would do it");
    }
    confirm(node, change.yes)?;
    let limit = site.defaults.reboot_timeout;
    let after = tasks::reboot(agent, &order, &status.boot_id, override_blockers, limit).await;
    let after = after.map_err(|ended| match ended {
        NoReboot::NotRebooted(problem) | NoReboot::InDoubt(problem) => problem,
    })?;
    output::progress(&format!("  boot {} → {}", words::short_id(&status.boot_id), words::short_id(&after.boot_id)));
    // The proof is the new boot; the task's own record is shown if the agent still has it.
    let ended = agent.operation(&order.operation_id).await.ok();
    show(global, ended.as_ref(), &format!("{node} rebooted"))
}

fn say(node: &str, what: &str, change: &ChangeFlags) {
    let dry = if change.dry_run != DryRun::None { " · nothing is changed by a dry run" } else { "" };
    output::progress(&format!("{node} alone, past lock, leaders and Kubernetes: {what}{dry}"));
}

/// Without the lock there is no epoch of our own: the highest that the agent knows is not lower, and fences nobody out.
fn order(change: &ChangeFlags, highest_epoch: u64) -> Order {
    Order {
        operation_id: identity::operation(),
        epoch: highest_epoch,
        reason: change.reason.clone().unwrap_or_else(|| "dry run".to_owned()),
        task_id: change.task_id.clone(),
        requester: identity::requester(),
        dry_run: change.dry_run != DryRun::None,
    }
}

fn show(global: &Global, task: Option<&Operation>, done: &str) -> Result<Exit, Problem> {
    match (global.output, task) {
        (Format::Json | Format::Yaml, Some(task)) => output::result(&output::structured(task, global.output)?),
        _ => output::result(done),
    }
    Ok(Exit::Done)
}
