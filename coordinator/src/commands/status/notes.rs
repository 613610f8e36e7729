//! What is out of the ordinary, in a line each below the table of machines.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use usher_core::nodeset;

use crate::{
    facts::local::UnannouncedStart,
    facts::{AgentFacts, Identity, Inventory, Machine, Unproven},
    text,
};

/// How long a restart that went past usher is told.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// All notes on all machines. What several machines have in common is told once, with all of their names: a switch that is down makes
/// forty agents silent, and that is one piece of news.
pub(super) fn of_all(facts: &Inventory, now: Timestamp) -> Vec<String> {
    let mut told: Vec<Told> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for machine in &facts.machines {
        for note in notes(machine, now) {
            let place = *places.entry(note.gist.clone()).or_insert_with(|| {
                told.push(Told { machines: Vec::new(), first: note });
                told.len() - 1
            });
            if let Some(told) = told.get_mut(place) {
                told.machines.push(machine.name.clone());
            }
        }
    }
    told.iter().map(Told::to_line).collect()
}

/// A note on a machine.
struct Note {
    /// What it has in common with notes on other machines.
    gist: String,
    line: String,
    /// The words for several machines.
    of_several: Option<String>,
}

impl From<String> for Note {
    fn from(line: String) -> Self {
        Self { gist: line.clone(), line, of_several: None }
    }
}

struct Told {
    machines: Vec<String>,
    first: Note,
}

impl Told {
    fn to_line(&self) -> String {
        let Self { machines, first } = self;
        let several = first.of_several.as_ref().filter(|_| machines.len() > 1);
        let said = several.unwrap_or(&first.line);
        format!("{}: {said}", nodeset::listed(machines))
    }
}

/// That an agent is silent. Two agents are silent in the same way if the last cause is the same: what comes before it names the machine,
/// its address, and how long it was tried.
fn silence(machine: &Machine, message: &str, hint: Option<&str>) -> Vec<Note> {
    let line = message.strip_prefix(&machine.name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(message);
    let cause = message.rsplit(": ").next().unwrap_or(message);
    let gist: String = cause.chars().filter(|char| !char.is_ascii_digit()).collect();
    let of_several = Some(format!("their agents are silent: {cause}"));
    let mut notes = vec![Note { gist: format!("silent: {gist}"), line: line.to_owned(), of_several }];
    // One hint of many is an example; the names of the others are above it.
    notes.extend(hint.map(|hint| Note {
        gist: format!("hint: {gist}"),
        line: hint.to_owned(),
        of_several: Some(format!("for example {}: {hint}", machine.name)),
    }));
    notes
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
fn notes(machine: &Machine, now: Timestamp) -> Vec<Note> {
    let mut notes: Vec<String> = Vec::new();
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
            let silence = silence(machine, message, hint.as_deref());
            return notes.into_iter().map(Note::from).chain(silence).collect();
        }
        AgentFacts::NotAsked => return notes.into_iter().map(Note::from).collect(),
    };
    notes.extend(status.warnings.iter().cloned());
    let scheduled = status.scheduled_shutdown.as_ref();
    notes.extend(scheduled.map(|shutdown| format!("a shutdown is scheduled: {}", shutdown.said())));
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
    notes.extend(
        status.lock_files.iter().map(|file| format!("{file}: configuration management or dpkg may be at work")),
    );
    notes.into_iter().map(Note::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::agent::{AgentStatus, ScheduledShutdown, UnitStatus};

    fn silent(name: &str, message: &str) -> Machine {
        let hint = Some(format!("Is it running?  ssh {name} systemctl status usher-agent"));
        let agent = AgentFacts::Silent { message: format!("{name}: {message}"), hint };
        Machine { name: name.to_owned(), agent, ..Machine::default() }
    }

    #[test]
    fn what_several_agents_are_silent_for_is_told_once_with_their_machines() {
        let refused = |number: u8| {
            let message = format!(
                "no answer from its agent at 10.0.0.{number}:7470 for 1.{number}s: Connection refused (os error 111)"
            );
            silent(&format!("w{number}"), &message)
        };
        let late = silent("cp1", "no answer from its agent at 10.0.0.9:7470 for 1.5s: not within 1.5s");
        let machines = [late].into_iter().chain((1..=5).map(refused)).collect();
        let told = of_all(&Inventory { machines, ..Inventory::default() }, Timestamp::UNIX_EPOCH);
        assert_eq!(
            told,
            [
                "cp1: no answer from its agent at 10.0.0.9:7470 for 1.5s: not within 1.5s",
                "cp1: Is it running?  ssh cp1 systemctl status usher-agent",
                "w[1-5]: their agents are silent: Connection refused (os error 111)",
                "w[1-5]: for example w1: Is it running?  ssh w1 systemctl status usher-agent",
            ]
        );
    }

    #[test]
    fn a_scheduled_shutdown_and_a_unit_file_that_systemd_has_not_read_are_told() {
        let at = "2026-03-02T03:03:00Z".parse().ok();
        let shutdown = ScheduledShutdown { kind: "reboot".into(), at, message: "kernel".into() };
        let unit = UnitStatus { name: "kubelet.service".into(), needs_daemon_reload: true, ..UnitStatus::default() };
        let status =
            AgentStatus { scheduled_shutdown: Some(shutdown.clone()), units: vec![unit], ..AgentStatus::default() };
        let agent = AgentFacts::Answers { status: Box::new(status) };
        let machine = Machine { name: "w2".into(), agent, ..Machine::default() };
        let told = of_all(&Inventory { machines: vec![machine], ..Inventory::default() }, Timestamp::UNIX_EPOCH);
        assert_eq!(
            told,
            [
                format!("w2: a shutdown is scheduled: {}", shutdown.said()),
                "w2: the unit file of kubelet.service has changed: systemctl daemon-reload is due".to_owned(),
            ]
        );
        assert!(told[0].contains("2026-03-02") && told[0].contains("kernel"), "{}", told[0]);
    }

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
