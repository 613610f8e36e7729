//! What must hold when a command has ended, and when a history has.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Node;
use usher_coordinator::exit::Exit;

use super::{check::Rule, command::Command, world::World};
use crate::rig::site::{Ended, TestSite};

/// The annotation of a cordon of usher's.
const MARK: &str = "usher.dev/cordon";

/// What a command that has ended says must be true, and what it leaves behind must be said.
pub(super) fn of_a_command(world: &World, site: &TestSite, command: Command, operation: &str, ended: &Ended) {
    let mut rules = world.rules();
    let rebooted = |machine: &str| {
        let reboots = rules.calls().iter().filter(|call| call.call == "reboot" && call.done);
        reboots.into_iter().any(|call| call.operation == operation && call.machine == machine)
    };
    let said = said(ended);
    let mut broken = Vec::new();
    let reboots = rules.calls().iter().filter(|call| call.operation == operation && call.call == "reboot");
    for call in reboots.filter(|call| !command.reboots().contains(&call.machine)) {
        broken.push((Rule::AnotherMachine, format!("{operation}: {command:?} has rebooted {}", call.machine)));
    }
    for &machine in command.reboots() {
        if said.contains(&format!("{machine} was not rebooted")) && rebooted(machine) {
            broken
                .push((Rule::Untrue, format!("{operation} says that {machine} was not rebooted, and it was told to")));
        }
        let done = ended.exit == Exit::Done && boot_of(world, machine) == 1;
        if done {
            broken.push((Rule::Untrue, format!("{operation} is done, and {machine} runs its first boot")));
        }
    }
    for node in marked_by(site, operation) {
        // Somebody else has taken the cordon over, and the operator was told.
        let is_somebodys = said.contains(&format!("{node}: uncordon: stays cordoned"));
        if ended.exit == Exit::Done && !is_somebodys && !command.leaves_cordoned().contains(&node.as_str()) {
            broken.push((Rule::LeftCordoned, format!("{operation} is done, and {node} is cordoned")));
        } else if ended.exit != Exit::Done && !(said.contains(&node) && said.contains("usher uncordon")) {
            broken.push((Rule::Untold, format!("{operation} leaves {node} cordoned and does not say so")));
        }
    }
    if ended.exit == Exit::Done {
        // What somebody else has stopped, or what has lost its power, is not the command's affair.
        let is_its = |unit: &str| {
            let calls = rules.calls().iter().filter(|call| call.operation == operation);
            let touched = calls.map(|call| call.machine).find(|machine| unit.starts_with(machine));
            touched.is_some_and(|machine| !world.scene().hands(machine).door.is_off())
        };
        for unit in site.units_down().into_iter().filter(|unit| is_its(unit)) {
            broken.push((Rule::LeftStopped, format!("{operation} is done, and {unit} does not run")));
        }
    }
    for (rule, what) in broken {
        rules.broken(rule, what);
    }
}

/// What is not as it should be when everything is over.
pub(super) fn left(site: &TestSite, command: Command, by_hand: &BTreeSet<&'static str>) -> Vec<(Rule, String)> {
    let mut left = Vec::new();
    let cordoned: BTreeSet<_> = site.cordoned().into_iter().collect();
    let expected = |node: &str| command.leaves_cordoned().contains(&node) || by_hand.contains(node);
    left.extend(cordoned.iter().filter(|node| !expected(node)).map(|node| (Rule::LeftCordoned, node.clone())));
    left.extend(
        by_hand.iter().filter(|node| !cordoned.contains(**node)).map(|node| (Rule::Uncordoned, (*node).to_owned())),
    );
    left.extend(site.units_down().into_iter().map(|unit| (Rule::LeftStopped, unit)));
    if !site.lock_is_free() {
        left.push((Rule::LockHeld, "the lock".to_owned()));
    }
    left
}

/// What all operations of one command together have done more than once, where once was wanted.
pub(super) fn done_again(world: &World, operations: &[String]) -> Vec<String> {
    let rules = world.rules();
    let mut seen = BTreeSet::new();
    let mut again = Vec::new();
    let changes = |call: &str| call == "reboot" || call.starts_with("restart ");
    let done = rules.calls().iter().filter(|call| call.done && changes(&call.call));
    for call in done.filter(|call| operations.contains(&call.operation)) {
        if !seen.insert((call.machine, call.call.clone())) {
            again.push(format!("{}: {} {} again", call.operation, call.machine, call.call));
        }
    }
    again
}

/// The machine's boot, from 1.
fn boot_of(world: &World, machine: &'static str) -> usize {
    let hands = world.scene().hands(machine);
    let id = hands.disk.read(&hands.folder.join("boot_id")).unwrap_or_default();
    let id = String::from_utf8_lossy(&id).into_owned();
    id.split('-').next().and_then(|boot| boot.parse().ok()).unwrap_or_default()
}

/// Everything that the operator was told.
fn said(ended: &Ended) -> String {
    let lists = [&ended.told, &ended.details, &ended.next];
    let lines = lists.into_iter().flatten().map(String::as_str);
    lines.chain([ended.summary.as_str(), ended.text.as_str()]).collect::<Vec<_>>().join("\n")
}

fn marked_by(site: &TestSite, operation: &str) -> Vec<String> {
    let mark = format!("\"operation\":\"{operation}\"");
    let is_marked = |node: &Node| {
        let annotations = node.metadata.annotations.as_ref();
        let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
        cordoned && annotations.and_then(|all| all.get(MARK)).is_some_and(|text| text.contains(&mark))
    };
    let nodes = site.api.list::<Node>().into_iter().filter(is_marked);
    nodes.filter_map(|node| node.metadata.name).collect()
}
