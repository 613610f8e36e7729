//! The operator's word on who leads: where it counts, and where it does not.

use super::*;

#[test]
fn a_leader_named_by_the_operator_goes_last() {
    let mut facts = facts("cp1", "cp2");
    let mut stranger = fixtures::holder("old-name");
    stranger.machine = None;
    facts.leaders.insert("kube-scheduler".into(), Leadership::Held(stranger));
    let assumed = vec![AssumedLeader { component: "kube-scheduler".into(), machine: Some("cp1".into()) }];
    let restart = Restart { assumed_leaders: assumed, ..restart(&["kube-scheduler"]) };
    let plan = make(&request(Kind::Restart(restart)), &facts, &site()).unwrap();
    assert_eq!(plan.turns.last().unwrap().machine(), "cp1");
}

#[test]
fn a_leader_that_lives_is_not_overruled_and_a_name_that_nobody_has_is_refused() {
    for (component, machine, expected) in [
        ("kube-scheduler", "cp2", "kube-scheduler is led by cp1, which renews its lease"),
        ("kube-scheduler", "cp9", "cp9 is no control-plane machine"),
        ("kube-schedular", "cp1", "\"kube-schedular\" is no component"),
    ] {
        let assumed = AssumedLeader { component: component.into(), machine: Some(machine.into()) };
        let restart = Restart { assumed_leaders: vec![assumed], ..restart(&["kube-scheduler"]) };
        let text = refusal(Kind::Restart(restart), &facts("cp1", "cp2"));
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_leader_that_comes_alive_in_the_roll_rules_its_order_and_does_not_end_it() {
    for word in [None, Some("cp2")] {
        let assumed = AssumedLeader { component: "kube-scheduler".into(), machine: word.map(str::to_owned) };
        let kind = Kind::Restart(Restart { assumed_leaders: vec![assumed], ..restart(&["kube-scheduler"]) });
        let request = request(kind);
        let mut stale = facts("cp1", "cp2");
        let mut dead = fixtures::holder("old-name");
        dead.machine = None;
        stale.leaders.insert("kube-scheduler".into(), Leadership::Stale(dead));
        let plan = make(&request, &stale, &site()).unwrap();
        // The process that was restarted first has taken the lease.
        let first = plan.turns[0].machine();
        let left = again(&request, &plan.turns[1..], &facts(first, "cp2"), &site());
        assert_eq!(left.unwrap().turns.len(), 2, "{word:?}");
        let left = again(&request, &plan.turns, &facts("cp3", "cp2"), &site()).unwrap();
        assert_eq!(left.turns.last().unwrap().machine(), "cp3", "{word:?}: it lives");
    }
}

#[test]
fn the_operators_word_puts_a_machine_last_where_the_lease_has_no_holder_too() {
    for leadership in [Leadership::Free, Leadership::Absent] {
        let assumed = AssumedLeader { component: "kube-scheduler".into(), machine: Some("cp1".into()) };
        let restart = Restart { assumed_leaders: vec![assumed], ..restart(&["kube-scheduler"]) };
        let mut facts = facts("cp2", "cp3");
        facts.leaders.insert("kube-scheduler".into(), leadership);
        let plan = make(&request(Kind::Restart(restart)), &facts, &site()).unwrap();
        assert_eq!(plan.turns.last().unwrap().machine(), "cp1");
    }
}
