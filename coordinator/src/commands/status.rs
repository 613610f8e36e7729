//! `usher status` and `usher leaders`: is it safe to begin?

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use usher_common::clock;

use super::world;
use crate::{
    cli::{Global, Look},
    cluster::LockHolder,
    exit::Exit,
    facts::leader::Leadership,
    facts::local::UnannouncedStart,
    facts::{AgentFacts, Identity, Inventory, Machine, Scope, Unproven},
    output::{self, Format},
    problem::Problem,
    show::{self, Kind},
    site::{Role, Site},
    text,
    world::World,
};

/// How long a restart that went past usher is told.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(24);

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

pub(super) async fn status(global: &Global, look: &Look) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let scope = Scope { control_plane: true, all: true, ..Scope::default() };
    let (version, lock, facts) = futures::try_join!(world.version_at_once(), world.lock_at_once(), world.look(&scope))?;
    let shown = shown(&facts, look);
    let status = Status {
        cluster: world.cluster.name(),
        server: world.cluster.server(),
        version: &version,
        lock: lock.as_ref(),
        facts: &shown,
    };
    show::show(Kind::Status, &status, global.output, || {
        let components = component_table(&world, &facts);
        [status.headline(&facts), components, machines(&facts, &shown, look, global.output)].join("\n\n")
    })?;
    Ok(Exit::Done)
}

impl Status<'_> {
    /// `facts`: all machines, those included that are not shown.
    fn headline(&self, facts: &Inventory) -> String {
        let Self { cluster, server, version, lock, facts: _ } = self;
        let version = version.trim_start_matches('v');
        let lock = lock.map_or_else(|| "lock free".to_owned(), |holder| format!("lock held by {holder}"));
        let answering = facts.machines.iter().filter(|machine| machine.agent.status().is_some()).count();
        let machines = facts.machines.len();
        format!("{cluster} · {server} · Kubernetes {version} · {lock} · {answering} of {machines} agents answer")
    }
}

/// An item of what `usher leaders -o json` prints.
#[derive(Serialize)]
struct Leader<'a> {
    component: &'a str,
    #[serde(flatten)]
    leadership: &'a Leadership,
}

pub(super) async fn leaders(global: &Global) -> Result<Exit, Problem> {
    let world = world(global).await?;
    let facts = world.look(&Scope { control_plane: true, ..Scope::default() }).await?;
    let leaders = facts.leaders.iter().map(|(component, leadership)| Leader { component, leadership });
    let leaders: Vec<_> = leaders.collect();
    show::list(Kind::LeaderList, &leaders, global.output, || {
        let now = clock::now();
        let rows = leaders.iter().map(|Leader { component, leadership }| {
            let mut row = vec![(*component).to_owned()];
            row.extend(leader_cells(leadership, now));
            row.push(leadership.holder().map(|holder| holder.identity.clone()).unwrap_or_default());
            row
        });
        output::table(&["COMPONENT", "LEADER", "SINCE", "RENEWED", "HOLDER"], rows)
    })?;
    Ok(Exit::Done)
}

fn component_table(world: &World, facts: &Inventory) -> String {
    let now = clock::now();
    let rows = world.site.components.iter().map(|component| {
        let leadership = facts.leaders.get(&component.name);
        let mut row = vec![component.name.clone()];
        row.extend(leadership.map_or_else(|| ["-", "-", "-"].map(str::to_owned), |found| leader_cells(found, now)));
        let instances: Vec<_> =
            facts.control_plane().map(|machine| instance(machine, &component.name, facts, &world.site)).collect();
        row.push(instances.join(" · "));
        row
    });
    output::table(&["COMPONENT", "LEADER", "SINCE", "RENEWED", "INSTANCES"], rows)
}

fn leader_cells(leadership: &Leadership, now: Timestamp) -> [String; 3] {
    let Some(holder) = leadership.holder() else {
        let word = if matches!(leadership, Leadership::Free) { "nobody" } else { "no lease" };
        return [word.to_owned(), "-".to_owned(), "-".to_owned()];
    };
    let name = holder.machine.clone().unwrap_or_else(|| format!("unknown: {}", holder.identity));
    let name = if matches!(leadership, Leadership::Stale(_)) { format!("{name} (dead)") } else { name };
    let age = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| text::age(at, now));
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
        Role::Unelected => state.map_or_else(|| name.clone(), |state| format!("{name} {state}")),
    }
}

/// More machines than this are counted too: nobody counts rows that scroll by.
const COUNTED: usize = 20;

/// The same facts with the machines alone that are to be shown.
pub(super) fn shown(facts: &Inventory, look: &Look) -> Inventory {
    let mut shown = facts.clone();
    shown.machines.retain(|machine| look.shows(machine));
    shown
}

/// The table of the machines that are shown, and the counts of all where some are left out or many are shown.
pub(super) fn machines(facts: &Inventory, shown: &Inventory, look: &Look, format: Format) -> String {
    let mut lines = Vec::new();
    if !shown.machines.is_empty() || look.only.is_empty() {
        lines.push(machine_table(shown, format));
    }
    if !look.only.is_empty() || facts.machines.len() > COUNTED {
        lines.push(facts.counts().to_string());
    }
    lines.join("\n")
}

/// The table of machines, and under it what is out of the ordinary.
fn machine_table(facts: &Inventory, format: Format) -> String {
    let wide = format == Format::Wide;
    let mut header = vec!["NODE", "ROLE", "READY", "SCHEDULABLE", "BOOT", "KERNEL", "REBOOT WANTED"];
    if wide {
        header.extend(["AGENT", "CERTIFICATE", "EPOCH"]);
    }
    let now = clock::now();
    let rows = facts.machines.iter().map(|machine| machine_row(machine, wide, now));
    let mut lines = vec![output::table(&header, rows)];
    for machine in &facts.machines {
        lines.extend(notes(machine, now).iter().map(|note| format!("{}: {note}", machine.name)));
    }
    lines.join("\n")
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
        let up = agent.booted_at.map(|at| text::age(at, now)).unwrap_or_default();
        format!("{up} ({})", text::short_id(&agent.boot_id)).trim_start().to_owned()
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
    let role = match (machine.control_plane, machine.listed) {
        (true, true) => "control plane",
        (true, false) => "control plane (NOT LISTED)",
        (false, _) => "worker",
    };
    let mut row = vec![machine.name.clone(), role.to_owned(), ready, schedulable, boot, kernel, wanted];
    if wide {
        row.push(agent.map_or_else(dash, |agent| agent.agent_version.clone()));
        let until = agent.and_then(|agent| agent.certificate_not_after);
        row.push(until.map_or_else(dash, |until| format!("until {}", until.strftime("%Y-%m-%d"))));
        row.push(agent.map_or_else(dash, |agent| agent.highest_epoch.to_string()));
    }
    row
}

/// What went past usher within a day: of each unit, and of the machine, the last time.
fn past_usher(starts: &[UnannouncedStart], now: Timestamp) -> Vec<String> {
    let is_recent = |start: &&UnannouncedStart| start.at.is_none_or(|at| now.duration_since(at) < TOLD_FOR);
    let mut last: BTreeMap<Option<&str>, (&UnannouncedStart, usize)> = BTreeMap::new();
    for start in starts.iter().filter(is_recent) {
        let times = last.get(&start.unit.as_deref()).map_or(0, |(_, times)| *times);
        last.insert(start.unit.as_deref(), (start, times + 1));
    }
    let told = last.into_values().map(|(start, times)| {
        let at = start.at.map(|at| format!(" at {}", at.strftime("%Y-%m-%d %H:%M:%SZ"))).unwrap_or_default();
        let times = if times > 1 { format!(", {times} times within a day") } else { String::new() };
        format!("{}{at}{times}", start.what())
    });
    told.collect()
}

/// What is out of the ordinary on a machine.
fn notes(machine: &Machine, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    if machine.control_plane && !machine.listed {
        let evidence: Vec<_> = machine.control_plane_evidence.iter().map(ToString::to_string).collect();
        notes.push(format!("not listed as control plane, but {}", text::list(&evidence)));
    }
    if let Identity::Differs { agent, node, node_is_ready: true } = machine.identity() {
        let (agent, node) = (text::short_id(&agent), text::short_id(&node));
        notes.push(format!("its agent runs on another machine than its Node: boot {agent} and boot {node}"));
    }
    if let Identity::Unknown { because: because @ Unproven::SeveralNodes(_) } = machine.identity() {
        notes.push(because.to_string());
    }
    let status = match &machine.agent {
        AgentFacts::Answers { status } => status,
        AgentFacts::Silent { message, hint } => {
            notes.push(message.clone());
            notes.extend(hint.clone());
            return notes;
        }
        AgentFacts::NotAsked => return notes,
    };
    notes.extend(status.warnings.iter().cloned());
    notes.extend(
        status.scheduled_shutdown.as_ref().map(|shutdown| format!("a shutdown is scheduled: {}", shutdown.said())),
    );
    let stale = status.units.iter().filter(|unit| unit.needs_daemon_reload);
    notes.extend(
        stale.map(|unit| format!("the unit file of {} has changed: systemctl daemon-reload is due", unit.name)),
    );
    notes.extend(status.holds.iter().map(|hold| format!("held {}", hold.said())));
    if let Some(hold) = status.held_by_file() {
        notes.push(format!("held by {}: {:?}", hold.path, hold.text.lines().next().unwrap_or_default()));
    }
    for wanted in &status.wanted_restarts {
        notes.push(format!("a restart of {} is wanted: {}", wanted.unit, wanted.why()));
    }
    notes.extend(past_usher(&status.unannounced, now));
    if let Some(operation) = &status.current_operation {
        notes.push(format!("busy with operation {} ({})", operation.id, operation.order.requester));
    }
    notes
        .extend(status.lock_files.iter().map(|file| format!("{file} exists: configuration management may be running")));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_past_usher_is_told_once_for_each_unit_and_for_a_day() {
        let now: Timestamp = "2026-03-02T03:00:00Z".parse().unwrap();
        let start = |unit: Option<&str>, at: &str, automatic| UnannouncedStart {
            unit: unit.map(str::to_owned),
            at: at.parse().ok(),
            automatic,
            ..UnannouncedStart::default()
        };
        let told = past_usher(
            &[
                start(Some("a.service"), "2026-03-01T02:59:59Z", false),
                start(None, "2026-03-01T04:00:00Z", false),
                start(Some("b.service"), "2026-03-02T01:00:00Z", true),
                start(Some("c.service"), "2026-03-02T01:00:00Z", false),
                start(Some("c.service"), "2026-03-02T02:00:00Z", false),
            ],
            now,
        );
        assert_eq!(
            told,
            [
                "rebooted past usher at 2026-03-01 04:00:00Z",
                "b.service was restarted by systemd itself at 2026-03-02 01:00:00Z",
                "c.service was started past usher at 2026-03-02 02:00:00Z, 2 times within a day",
            ]
        );
    }
}
