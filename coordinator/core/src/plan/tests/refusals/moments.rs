//! When gates are asked: of all machines, of the next one, before the point of no return.

use super::*;

#[test]
fn at_first_every_machine_is_asked_and_later_only_the_next() {
    let reboot = request(Kind::Reboot(reboot(&["w1", "w2"])));
    let mut facts = facts("cp1", "cp2");
    let plan = make(&reboot, &facts, &site()).unwrap();
    facts.agent_mut("w2").hold = Some(Hold { path: "/etc/usher/hold".into(), ..Hold::default() });
    assert!(make(&reboot, &facts, &site()).unwrap_err().message.contains("w2 is held"));
    assert!(again(&reboot, &plan.turns, &facts, &site()).is_ok(), "w1 is next, and nothing forbids it");
    assert!(again(&reboot, &plan.turns[1..], &facts, &site()).unwrap_err().message.contains("w2 is held"));
}

#[test]
fn what_happened_during_the_drain_closes_the_gate_before_the_reboot() {
    let cases: Vec<(&str, &str, Change, &str)> = vec![
        ("all is well", "w1", Box::new(|facts| facts.node_mut("w1").unschedulable = true), ""),
        ("uncordoned by somebody else", "w1", Box::new(|_| {}), "w1 was uncordoned by somebody else"),
        (
            "another boot",
            "w1",
            Box::new(|facts| {
                facts.node_mut("w1").unschedulable = true;
                facts.node_mut("w1").boot_id = "of another machine".into();
            }),
            "are not the same machine",
        ),
        (
            "another apiserver went down",
            "cp3",
            Box::new(|facts| {
                facts.apiservers.insert("cp1".into(), Readiness::Unreachable { message: "refused".into() });
            }),
            "the apiserver on cp1 is not ready, so cp3 is not touched",
        ),
        (
            "leadership moved here",
            "cp3",
            Box::new(|facts| {
                let here = Leadership::Held(fixtures::holder("cp3"));
                facts.leaders.insert("kube-controller-manager".into(), here);
            }),
            "leadership of kube-controller-manager moved to cp3",
        ),
    ];
    for (what, machine, change, expected) in cases {
        let mut facts = facts("cp1", "cp2");
        let reboot = request(Kind::Reboot(reboot(&[machine])));
        let plan = make(&reboot, &facts, &site()).unwrap();
        let turn = &plan.turns[0];
        let step = turn.steps.iter().find(|step| step.is_irreversible()).unwrap();
        change(&mut facts);
        let closed = gates::before_irreversible(step, &reboot, turn, &facts, &site()).err();
        let message = closed.map(|problem| problem.message).unwrap_or_default();
        assert!(message.contains(expected) && message.is_empty() == expected.is_empty(), "{what}: {message:?}");
    }
}

#[test]
fn a_leader_whose_peers_answer_again_is_not_rebooted_without_the_hand_over_that_they_make_possible() {
    let set = |facts: &mut Inventory, peer: &str, state: &str| {
        let units = facts.agent_mut(peer).units.iter_mut();
        units
            .filter(|unit| unit.name == "kube-controller-manager.service")
            .for_each(|unit| unit.active_state = state.into());
    };
    let mut facts = facts("cp2", "cp1");
    set(&mut facts, "cp2", "inactive");
    set(&mut facts, "cp3", "inactive");
    let reboot = request(Kind::Reboot(reboot(&["cp1"])));
    let plan = make(&reboot, &facts, &site()).unwrap();
    let turn = &plan.turns[0];
    assert!(!turn.steps.iter().any(|step| matches!(step, Step::HandOver { .. })), "nobody can take it");
    let step = turn.steps.iter().find(|step| step.is_irreversible()).unwrap();
    gates::before_irreversible(step, &reboot, turn, &facts, &site()).unwrap();

    set(&mut facts, "cp2", "active");
    let closed = gates::before_irreversible(step, &reboot, turn, &facts, &site()).unwrap_err();
    assert!(closed.message.starts_with("cp1 leads kube-controller-manager, and another instance"), "{closed:?}");
}
