//! A roll stops when the cluster gets worse while it goes on.

use super::*;
use crate::facts::{Census, Fleet};

fn census(not_ready: &[&str], cordoned: usize) -> Census {
    Census { nodes: 5000, not_ready: not_ready.iter().map(|&name| name.to_owned()).collect(), cordoned }
}

fn with_fleet(before: &[&str], now: &[&str]) -> Inventory {
    Inventory { fleet: Some(Fleet { before: census(before, 2), now: census(now, 2) }), ..facts("cp1", "cp2") }
}

fn roll() -> Reboot {
    reboot(&["w1", "w2"])
}

#[test]
fn the_plan_of_a_roll_says_how_the_cluster_is_and_at_what_it_stops() {
    let said = |not_ready: &[&str], reboot| text(Kind::Reboot(reboot), &with_fleet(not_ready, not_ready));
    let well = said(&[], roll());
    let expected = "Of 5000 nodes 0 are not Ready and 2 cordoned; the roll stops when any is not Ready besides the one whose turn \
                    it is.\n";
    assert!(well.contains(expected), "{well}");
    let ill = said(&["w7", "w8"], roll());
    assert!(
        ill.contains("2 are not Ready and 2 cordoned; the roll stops when more than 2 are not Ready besides"),
        "{ill}"
    );
    assert!(!said(&[], reboot(&["w1"])).contains("the roll"), "one machine is no roll");
}

#[test]
fn a_roll_stops_before_the_next_machine_when_more_nodes_are_not_ready_than_at_its_beginning() {
    let refused = |before: &[&str], now: &[&str], reboot: Reboot| {
        let request = request(Kind::Reboot(reboot));
        let facts = with_fleet(before, now);
        let left = make(&request, &with_fleet(before, before), &site()).unwrap().turns;
        again(&request, &left, &facts, &site()).err()
    };
    let problem = refused(&["w7"], &["w7", "w8", "w9"], roll()).unwrap();
    assert_eq!(problem.message, "3 other nodes are not Ready, and 1 was when this roll began, so w1 is not touched");
    assert_eq!(problem.details, ["not Ready since: w8, w9"]);
    assert!(problem.hints.iter().any(|hint| hint.ends_with("--override-blocker fleet")), "{:?}", problem.hints);
    let one = refused(&[], &["w2"], roll()).unwrap();
    assert_eq!(one.message, "1 other node is not Ready, and none was when this roll began, so w1 is not touched");

    assert_eq!(refused(&["w7"], &["w8"], roll()), None, "no more than before");
    assert_eq!(refused(&[], &["w1"], roll()), None, "the machine whose turn it is");
    assert_eq!(refused(&[], &["w2"], reboot(&["w1"])), None, "one machine is no roll");
    let nevertheless = Reboot { override_blockers: names(&["fleet"]), ..roll() };
    assert_eq!(refused(&[], &["w2"], nevertheless), None);
}

#[test]
fn only_a_roll_looks_at_all_nodes_before_each_machine() {
    let scope = |reboot: Reboot| {
        let request = request(Kind::Reboot(reboot));
        let left = make(&request, &facts("cp1", "cp2"), &site()).unwrap().turns;
        (request.scope(|_| false).fleet, scope_of_next(&request, &left).fleet)
    };
    assert_eq!(scope(roll()), (true, true));
    assert_eq!(scope(reboot(&["cp1", "cp2"])), (true, true));
    assert_eq!(scope(reboot(&["w1"])), (false, false));
}
