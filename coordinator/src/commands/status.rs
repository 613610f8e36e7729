//! `usher status` and `usher leaders`: is it safe to begin?

use jiff::Timestamp;
use serde::Serialize;

use super::{failure::Failure, world};
use crate::{
    cli::Global,
    cluster::LockHolder,
    exit::Exit,
    inventory::{AgentFacts, Inventory, Machine},
    leader::Leadership,
    output::{self, Format},
    site::{Role, Site},
    words,
    world::{Scope, World},
};

/// What `usher status -o json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    cluster: &'a str,
    server: &'a str,
    version: &'a str,
    lock: Option<&'a LockHolder>,
    #[serde(flatten)]
    facts: &'a Inventory,
}

pub(super) async fn status(global: &Global) -> Result<Exit, Failure> {
    let world = world(global).await?;
    let (version, lock) = futures::try_join!(world.cluster.version(), world.cluster.lock_holder())?;
    let facts = world.first_facts(&Scope { control_plane: true, all: true, ..Scope::default() }).await?;
    if matches!(global.output, Format::Json | Format::Yaml) {
        let status = Status {
            cluster: world.cluster.name(),
            server: world.cluster.server(),
            version: &version,
            lock: lock.as_ref(),
            facts: &facts,
        };
        output::result(&output::structured(&status, global.output)?);
        return Ok(Exit::Done);
    }
    let answering = facts.machines.iter().filter(|machine| machine.agent.status().is_some()).count();
    output::result(&format!(
        "{} · {} · Kubernetes {} · {} · {} of {} agents answer",
        world.cluster.name(),
        world.cluster.server(),
        version.trim_start_matches('v'),
        lock_words(lock.as_ref()),
        answering,
        facts.machines.len()
    ));
    output::result("");
    print_components(&world, &facts);
    output::result("");
    print_machines(global, &facts)?;
    Ok(Exit::Done)
}

pub(super) async fn leaders(global: &Global) -> Result<Exit, Failure> {
    let world = world(global).await?;
    let facts = world.first_facts(&Scope { control_plane: true, ..Scope::default() }).await?;
    match global.output {
        Format::Json | Format::Yaml => output::result(&output::structured(&facts.leaders, global.output)?),
        Format::Table | Format::Wide => {
            let now = Timestamp::now();
            let rows = facts.leaders.iter().map(|(component, leadership)| {
                let mut row = vec![component.clone()];
                row.extend(leader_cells(leadership, now));
                row.push(leadership.holder().map(|holder| holder.identity.clone()).unwrap_or_default());
                row
            });
            output::result(&output::table(&["COMPONENT", "LEADER", "SINCE", "RENEWED", "HOLDER"], rows));
        }
    }
    Ok(Exit::Done)
}

fn lock_words(lock: Option<&LockHolder>) -> String {
    match lock {
        None => "lock free".to_owned(),
        Some(holder) => format!(
            "lock held by {} (operation {}, {:?}, renewed {} ago)",
            holder.requester,
            holder.operation,
            holder.reason,
            holder.renewed.map(|at| words::age(at, Timestamp::now())).unwrap_or_default()
        ),
    }
}

fn print_components(world: &World, facts: &Inventory) {
    let now = Timestamp::now();
    let rows = world.site.components.iter().map(|component| {
        let leadership = facts.leaders.get(&component.name);
        let mut row = vec![component.name.clone()];
        row.extend(leadership.map_or_else(|| ["-", "-", "-"].map(str::to_owned), |found| leader_cells(found, now)));
        let instances: Vec<_> =
            facts.control_plane().map(|machine| instance(machine, &component.name, facts, &world.site)).collect();
        row.push(instances.join(" · "));
        row
    });
    output::result(&output::table(&["COMPONENT", "LEADER", "SINCE", "RENEWED", "INSTANCES"], rows));
}

fn leader_cells(leadership: &Leadership, now: Timestamp) -> [String; 3] {
    let Some(holder) = leadership.holder() else {
        let word = if matches!(leadership, Leadership::Free) { "nobody" } else { "no lease" };
        return [word.to_owned(), "-".to_owned(), "-".to_owned()];
    };
    let name = holder.machine.clone().unwrap_or_else(|| format!("unknown: {}", holder.identity));
    let name = if matches!(leadership, Leadership::Stale(_)) { format!("{name} (dead)") } else { name };
    let age = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| words::age(at, now));
    [name, age(holder.acquired), format!("{} ago", age(holder.renewed))]
}

/// One instance of a component: its machine, and what is wrong with it if anything is.
fn instance(machine: &Machine, component: &str, facts: &Inventory, site: &Site) -> String {
    let name = &machine.name;
    let Some(component) = site.component(component) else { return name.clone() };
    let unit = machine.agent.status().map(|status| status.unit(&component.unit));
    let state = match unit {
        None => Some("agent silent".to_owned()),
        Some(None) => Some("not managed".to_owned()),
        Some(Some(unit)) if !unit.is_active() => Some(unit.active_state.clone()),
        Some(Some(_)) => None,
    };
    match &component.role {
        Role::ApiServer { .. } => match (facts.apiservers.get(name), state) {
            (Some(readiness), _) if readiness.is_ready() => format!("{name} ready"),
            (_, Some(state)) => format!("{name} {state}"),
            (Some(_), None) => format!("{name} NOT READY"),
            (None, None) => name.clone(),
        },
        Role::Elected { .. } => {
            let leads = facts.leaders.get(&component.name).and_then(Leadership::machine) == Some(name);
            let star = if leads { "*" } else { "" };
            state.map_or_else(|| format!("{name}{star}"), |state| format!("{name}{star} {state}"))
        }
    }
}

/// The table of machines, or its structure.
pub(super) fn print_machines(global: &Global, facts: &Inventory) -> Result<(), Failure> {
    if matches!(global.output, Format::Json | Format::Yaml) {
        output::result(&output::structured(&facts.machines, global.output)?);
        return Ok(());
    }
    let wide = global.output == Format::Wide;
    let mut header = vec!["NODE", "ROLE", "READY", "SCHEDULABLE", "BOOT", "KERNEL", "REBOOT WANTED"];
    if wide {
        header.extend(["AGENT", "CERTIFICATE", "EPOCH"]);
    }
    let now = Timestamp::now();
    output::result(&output::table(&header, facts.machines.iter().map(|machine| machine_row(machine, wide, now))));
    for machine in &facts.machines {
        for note in notes(machine) {
            output::result(&format!("{}: {note}", machine.name));
        }
    }
    Ok(())
}

fn machine_row(machine: &Machine, wide: bool, now: Timestamp) -> Vec<String> {
    let dash = || "-".to_owned();
    let node = machine.node.as_ref();
    let agent = machine.agent.status();
    let ready =
        node.map_or_else(dash, |node| if node.is_ready() { "yes".into() } else { format!("NO ({})", node.ready) });
    let schedulable = node.map_or_else(dash, |node| match (node.unschedulable, &node.mark, &node.cordoned_by) {
        (false, ..) => "yes".to_owned(),
        (true, Some(mark), _) => format!("no (usher {}: {})", mark.command, mark.by),
        (true, None, Some(writer)) => format!("no ({})", writer.manager),
        (true, None, None) => "no".to_owned(),
    });
    let boot = agent.map_or_else(dash, |agent| {
        let up = agent.booted_at.map(|at| words::age(at, now)).unwrap_or_default();
        format!("{up} ({})", words::short_id(&agent.boot_id)).trim_start().to_owned()
    });
    let kernel = match (agent, node) {
        (Some(agent), _) => match &agent.kernel_installed {
            Some(installed) if installed != &agent.kernel_running => format!("{} → {installed}", agent.kernel_running),
            _ => agent.kernel_running.clone(),
        },
        (None, Some(node)) => node.kernel.clone(),
        (None, None) => dash(),
    };
    let wanted = agent.map_or_else(dash, |agent| match (agent.reboot_required, agent.reboot_packages.is_empty()) {
        (false, _) => "no".to_owned(),
        (true, true) => "yes".to_owned(),
        (true, false) => format!("yes: {}", agent.reboot_packages.join(", ")),
    });
    let role = if machine.control_plane { "control plane" } else { "worker" };
    let mut row = vec![machine.name.clone(), role.to_owned(), ready, schedulable, boot, kernel, wanted];
    if wide {
        row.push(agent.map_or_else(dash, |agent| agent.agent_version.clone()));
        let until = agent.and_then(|agent| agent.certificate_not_after);
        row.push(until.map_or_else(dash, |until| format!("until {}", until.strftime("%Y-%m-%d"))));
        row.push(agent.map_or_else(dash, |agent| agent.highest_epoch.to_string()));
    }
    row
}

/// What is out of the ordinary on a machine.
fn notes(machine: &Machine) -> Vec<String> {
    let status = match &machine.agent {
        AgentFacts::Answers { status } => status,
        AgentFacts::Silent { message, hint } => {
            return std::iter::once(message.clone()).chain(hint.clone()).collect();
        }
        AgentFacts::NotAsked => return Vec::new(),
    };
    let mut notes = status.warnings.clone();
    if let Some(hold) = &status.hold {
        notes.push(format!("held by {}: {:?}", hold.path, hold.text.lines().next().unwrap_or_default()));
    }
    if let Some(operation) = &status.current_operation {
        notes.push(format!("busy with operation {} ({})", operation.id, operation.order.requester));
    }
    notes
        .extend(status.lock_files.iter().map(|file| format!("{file} exists: configuration management may be running")));
    notes
}
