//! The table of machines, and the counts of those that nobody wants to count by eye.

use jiff::Timestamp;
use usher_common::clock;

use super::notes;
use crate::{
    cli::Look,
    facts::{Inventory, Machine},
    output::{self, Format},
    text,
};

/// More machines than this are counted too: nobody counts rows that scroll by.
const COUNTED: usize = 20;

/// The same facts with the machines alone that are to be shown.
pub(in crate::commands) fn shown(facts: &Inventory, look: &Look) -> Inventory {
    let mut shown = facts.clone();
    shown.machines.retain(|machine| look.shows(machine));
    shown
}

/// The table of the machines that are shown; empty if none of them is wanted.
pub(super) fn table(shown: &Inventory, look: &Look, format: Format) -> String {
    match shown.machines.is_empty() && !look.only.is_empty() {
        true => String::new(),
        false => machine_table(shown, format),
    }
}

/// The counts of all machines, where some are left out or many are shown.
pub(super) fn counts(facts: &Inventory, look: &Look) -> Option<String> {
    (!look.only.is_empty() || facts.machines.len() > COUNTED).then(|| facts.counts().to_string())
}

/// The table, and the counts below it.
pub(in crate::commands) fn with_counts(facts: &Inventory, shown: &Inventory, look: &Look, format: Format) -> String {
    let table = Some(table(shown, look, format)).filter(|table| !table.is_empty());
    table.into_iter().chain(counts(facts, look)).collect::<Vec<_>>().join("\n")
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
    lines.extend(notes::of_all(facts, now));
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
