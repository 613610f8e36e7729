//! What plans do about etcd.

use super::*;
use crate::{
    facts::etcd::{Etcd, Word},
    plan::fixtures::{etcd_member, facts_with_etcd, site_with_etcd},
};

fn text(kind: Kind, facts: &Inventory) -> String {
    let site = site_with_etcd();
    make(&request(kind), facts, &site).unwrap().to_text(&site)
}

/// Why it is refused, with details and hints.
fn refusal(kind: Kind, facts: &Inventory) -> String {
    let problem = make(&request(kind), facts, &site_with_etcd()).unwrap_err();
    std::iter::once(problem.message).chain(problem.details).chain(problem.hints).collect::<Vec<_>>().join("\n")
}

fn dead(facts: &mut Inventory, machine: &str) {
    facts.etcd.0.insert(machine.to_owned(), Word::Silent { message: "connection refused".into() });
}

#[test]
fn members_are_restarted_one_by_one_and_the_leader_last_after_it_has_handed_over_to_one_that_is_done() {
    assert_eq!(
        text(Kind::Restart(restart(&["etcd"])), &facts_with_etcd("cp2", "cp3", "cp1")),
        "\
etcd
  1  cp2  restart, wait until healthy, wait until its member of etcd has caught up
  2  cp3  restart, wait until healthy, wait until its member of etcd has caught up
  3  cp1  hand the leadership of etcd to cp2, restart, wait until healthy, wait until its member of etcd has caught up  (leader, last)
"
    );
    let alone = Restart { machines: names(&["cp1"]), ..restart(&["etcd"]) };
    let plan = make(&request(Kind::Restart(alone)), &facts_with_etcd("cp2", "cp3", "cp1"), &site_with_etcd()).unwrap();
    assert_eq!(plan.turns[0].steps[0], Step::HandEtcdOver { to: "cp2".into() });
}

#[test]
fn a_roll_of_reboots_hands_etcd_over_once_to_a_machine_that_is_done() {
    let reboot = request(Kind::Reboot(reboot(&["cp1", "cp2", "cp3"])));
    let site = site_with_etcd();
    let plan = make(&reboot, &facts_with_etcd("cp2", "cp3", "cp1"), &site).unwrap();
    let handed = |plan: &Plan| -> Vec<String> {
        let of = |turn: &Turn| {
            let to =
                turn.steps.iter().find_map(|step| if let Step::HandEtcdOver { to } = step { Some(to) } else { None });
            to.map_or_else(|| turn.machine().to_owned(), |to| format!("{}>{to}", turn.machine()))
        };
        plan.turns.iter().map(of).collect()
    };
    assert_eq!(handed(&plan), ["cp2", "cp1>cp2", "cp3"]);
    // The leadership has moved by itself to the machine that was to go last: a done one gets it now.
    let again = again(&reboot, &plan.turns[1..], &facts_with_etcd("cp2", "cp3", "cp3"), &site).unwrap();
    assert_eq!(handed(&again), ["cp1", "cp3>cp1"]);
    let without = Reboot { handover: Some(false), ..self::reboot(&["cp1"]) };
    let plan = make(&request(Kind::Reboot(without)), &facts_with_etcd("cp2", "cp3", "cp1"), &site).unwrap();
    assert_eq!(handed(&plan), ["cp1"]);
}

#[test]
fn a_member_that_is_not_well_gets_no_leadership() {
    let mut facts = facts_with_etcd("cp3", "cp3", "cp1");
    etcd_member(&mut facts.etcd, "cp2").is_learner = true;
    let reboot = Reboot { override_blockers: names(&["etcd-quorum"]), ..reboot(&["cp1"]) };
    let plan = make(&request(Kind::Reboot(reboot)), &facts, &site_with_etcd()).unwrap();
    assert!(plan.turns[0].steps.contains(&Step::HandEtcdOver { to: "cp3".into() }), "{:?}", plan.turns[0].steps);
}

#[test]
fn a_dead_member_elsewhere_keeps_a_reboot_from_beginning_although_every_apiserver_is_ready() {
    let mut facts = facts_with_etcd("cp1", "cp2", "cp1");
    dead(&mut facts, "cp3");
    let told = refusal(Kind::Reboot(reboot(&["cp1"])), &facts);
    for words in [
        "etcd cannot spare its member on cp1 now",
        "the member on cp3 does not answer: connection refused",
        "1 of 3 voting members would be left, and it takes 2 to write",
        "--override-blocker etcd-quorum",
    ] {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
    // The dead one itself may go, other components and workers too, and an operator may insist.
    let insists = Reboot { override_blockers: names(&["etcd-quorum"]), ..reboot(&["cp1"]) };
    for kind in [
        Kind::Reboot(reboot(&["cp3"])),
        Kind::Restart(restart(&["kube-scheduler"])),
        Kind::Reboot(reboot(&["w1"])),
        Kind::Reboot(insists),
    ] {
        make(&request(kind), &facts, &site_with_etcd()).unwrap();
    }
    assert!(refusal(Kind::Restart(restart(&["etcd"])), &facts).contains("usher agent restart"));
    let mend = Restart { machines: names(&["cp3"]), ..restart(&["etcd"]) };
    make(&request(Kind::Restart(mend)), &facts, &site_with_etcd()).unwrap();
}

#[test]
fn a_member_that_dies_during_the_drain_closes_the_gate_before_the_reboot() {
    let mut facts = facts_with_etcd("cp1", "cp2", "cp2");
    let (reboot, site) = (request(Kind::Reboot(reboot(&["cp3"]))), site_with_etcd());
    let plan = make(&reboot, &facts, &site).unwrap();
    let turn = &plan.turns[0];
    let step = turn.steps.iter().find(|step| step.is_irreversible()).unwrap();
    gates::before_irreversible(step, &reboot, turn, &facts, &site).unwrap();
    dead(&mut facts, "cp1");
    let problem = gates::before_irreversible(step, &reboot, turn, &facts, &site).unwrap_err();
    assert_eq!(problem.message, "etcd cannot spare its member on cp3 now");
}

#[test]
fn where_no_agent_knows_of_etcd_the_plan_of_a_reboot_says_so_and_a_restart_of_it_is_refused() {
    let unknown = Inventory { etcd: Etcd::default(), ..facts_with_etcd("cp1", "cp2", "cp1") };
    let told = |kind: Kind, site: &Site| {
        let plan = make(&request(kind), &unknown, site).unwrap();
        plan.warnings.iter().filter(|warning| warning.contains("no agent knows of etcd")).count()
    };
    assert_eq!(told(Kind::Reboot(reboot(&["cp1", "cp2"])), &site_with_etcd()), 1);
    assert_eq!(told(Kind::Reboot(reboot(&["w1"])), &site_with_etcd()), 0);
    assert_eq!(told(Kind::Restart(restart(&["kube-scheduler"])), &site_with_etcd()), 0);
    assert_eq!(told(Kind::Reboot(reboot(&["cp1"])), &site()), 0, "somebody else runs it");
    assert!(refusal(Kind::Restart(restart(&["etcd"])), &unknown).starts_with("no agent knows of etcd"));
}

#[test]
fn the_only_member_may_go_and_the_plan_says_that_etcd_is_away_meanwhile() {
    let mut facts = facts_with_etcd("cp1", "cp1", "cp1");
    facts.machines.retain(|machine| !["cp2", "cp3"].contains(&machine.name.as_str()));
    facts.apiservers.retain(|machine, _| machine == "cp1");
    facts.etcd = Etcd(facts.etcd.0.into_iter().filter(|(machine, _)| machine == "cp1").collect());
    etcd_member(&mut facts.etcd, "cp1").members.truncate(1);
    let plan = make(&request(Kind::Reboot(reboot(&["cp1"]))), &facts, &site_with_etcd()).unwrap();
    let expected = "etcd is away while the member on cp1 is down: there is no other";
    assert!(plan.warnings.iter().any(|warning| warning == expected), "{:?}", plan.warnings);
}

#[test]
fn an_apiserver_that_only_its_agent_can_ask_is_ready_and_the_plan_says_so() {
    let mut facts = facts("cp1", "cp2");
    facts.apiservers.insert("cp3".into(), Readiness::ByItsAgent { message: "no route to host".into() });
    let plan = make(&request(Kind::Reboot(reboot(&["cp1"]))), &facts, &site()).unwrap();
    let expected =
        "the apiserver on cp3 is not reachable from here (no route to host); its agent says that it is healthy";
    assert!(plan.warnings.iter().any(|warning| warning == expected), "{:?}", plan.warnings);
    let plan = make(&request(Kind::Reboot(reboot(&["w1"]))), &facts, &site()).unwrap();
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

proptest! {
    /// However leaders move between the turns of a roll of reboots, usher hands etcd to a machine that has gone, or to none.
    #[test]
    fn etcd_is_handed_to_machines_that_are_done_however_its_leadership_moves(
        moves in prop::collection::vec((0..3usize, 0..3usize, 0..3usize), 3)
    ) {
        let (reboot, site) = (request(Kind::Reboot(reboot(&CONTROL_PLANE))), site_with_etcd());
        let mut plan = make(&reboot, &facts_with_etcd("cp1", "cp1", "cp1"), &site).unwrap();
        let mut done: Vec<String> = Vec::new();
        for (scheduler, manager, etcd) in moves {
            let facts = facts_with_etcd(CONTROL_PLANE[scheduler], CONTROL_PLANE[manager], CONTROL_PLANE[etcd]);
            plan = again(&reboot, &plan.turns, &facts, &site).unwrap();
            let next = plan.turns.remove(0);
            for step in &next.steps {
                if let Step::HandEtcdOver { to } = step {
                    prop_assert_eq!(next.machine(), CONTROL_PLANE[etcd]);
                    prop_assert!(done.contains(to), "{} hands over to {to}, and done are {done:?}", next.machine());
                }
            }
            done.push(next.machine().to_owned());
        }
    }
}
