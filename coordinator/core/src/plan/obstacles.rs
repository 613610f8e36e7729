//! What stands against beginning anything at all.

use std::collections::BTreeSet;

use super::{
    draw,
    gates::{self, Moment, Subject},
};
use crate::{
    facts::Inventory,
    problem::Problem,
    request::{Connection, Kind, Request, Restart},
    site::Site,
};

/// What a restart of the whole control plane would be refused for: every gate that is closed, for each machine. Workers are not looked
/// at; one of thousands that is held concerns only who means that one.
pub fn obstacles(facts: &Inventory, site: &Site) -> Vec<Problem> {
    let restart = Restart {
        components: site.components.iter().map(|component| component.name.clone()).collect(),
        wanted: false,
        machines: Vec::new(),
        gap: None,
        handover: None,
        assumed_leaders: Vec::new(),
    };
    let (reason, connection) = (String::new(), Connection::default());
    let request = Request { kind: Kind::Restart(restart), reason, task_id: None, connection };
    let plan = match draw(&request, None, facts, site) {
        Ok(plan) => plan,
        Err(problem) => return vec![problem],
    };
    let mut found = Vec::new();
    // What is said of another machine or component for the same reason is the same obstacle.
    let mut seen = BTreeSet::new();
    for turn in &plan.turns {
        let Some(machine) = facts.machine(turn.machine()) else { continue };
        let subject = Subject { request: &request, turn, machine, facts, site, step: None };
        let verdicts = [Moment::Plan, Moment::Turn].into_iter().flat_map(|moment| gates::verdicts(moment, &subject));
        for verdict in verdicts {
            let Some(problem) = verdict.closed else { continue };
            let reason = if problem.details.is_empty() { problem.message.clone() } else { problem.details.join("\n") };
            if seen.insert((verdict.gate, reason)) {
                found.push(problem);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        facts::{apiserver::Readiness, leader::Leadership, local::OwnedHold},
        plan::fixtures::{facts, site},
    };

    fn found(change: impl Fn(&mut Inventory)) -> Vec<String> {
        let mut facts = facts("cp2", "cp3");
        change(&mut facts);
        obstacles(&facts, &site()).into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn nothing_stands_against_beginning_where_all_is_well() {
        assert!(found(|_| {}).is_empty());
    }

    #[test]
    fn each_closed_gate_is_told_once_whatever_number_of_machines_it_would_stop() {
        let down = found(|facts| {
            facts.apiservers.insert("cp3".into(), Readiness::NotReady { message: "500".into() });
        });
        assert_eq!(down, ["the apiserver on cp3 is not ready, so cp1 is not touched"]);
        let leaderless = found(|facts| {
            facts.leaders.insert("kube-scheduler".into(), Leadership::Free);
        });
        assert_eq!(leaderless, ["nobody leads kube-scheduler: its lease is free"]);
        let held = found(|facts| {
            for machine in ["cp1", "cp3", "w1"] {
                let hold = OwnedHold { owner: "alice".into(), reason: "disk".into(), ..OwnedHold::default() };
                facts.agent_mut(machine).holds.push(hold);
            }
        });
        assert_eq!(held.len(), 2, "{held:?}");
        assert!(held[0].starts_with("cp1 is held") && held[1].starts_with("cp3 is held"), "{held:?}");
        let unlisted = found(|facts| facts.unlisted.push("cp4".into()));
        assert_eq!(unlisted, ["cp4 belongs to the control plane and is not listed in the cluster file"]);
    }
}
