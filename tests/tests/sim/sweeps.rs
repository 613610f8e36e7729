//! Every point of a command at which something can go wrong, and random histories.

use usher_testkit::sim::{Command, Found, Rule, play, random, sweep};

use crate::{FEW, number, thinned};

/// What usher cannot keep yet, and in how many of a hundred histories at most: tests/README.md says why.
type Known = &'static [(Rule, usize)];

/// No promise was broken but those that are known to be, and those no more often than is known.
#[expect(
    clippy::print_stdout,
    reason = "shown with --nocapture: how much was played is half of what a soak has to tell"
)]
fn keeps(what: &str, found: &Found, known: Known) {
    println!("{what}: {} histories, broken in: {:?}", found.histories, found.broken);
    let is_known = |rule: Rule, count: usize| {
        let most = known.iter().find(|(known, _)| *known == rule).map(|(_, percent)| *percent);
        most.is_some_and(|percent| count * 100 <= found.histories * percent)
    };
    let unknown: Vec<_> = found.broken.iter().filter(|(rule, count)| !is_known(**rule, **count)).collect();
    assert!(unknown.is_empty(), "{what}: {}", found.of(|it| unknown.iter().any(|(rule, _)| **rule == it)));
}

#[test]
fn a_coordinator_may_be_killed_anywhere() {
    for (command, known) in [
        (Command::RebootWorker, &[(Rule::DoneAgain, 66)][..]),
        (Command::RebootControlPlane, &[(Rule::DoneAgain, 60)]),
        (Command::RestartThree, &[(Rule::DoneAgain, 97)]),
        (Command::DrainTwo, &[]),
    ] {
        keeps(&format!("{command:?}"), &play(&thinned(sweep::kills(command))), known);
    }
}

#[test]
fn an_agent_may_be_killed_anywhere() {
    for command in Command::SWEPT {
        keeps(&format!("{command:?}"), &play(&thinned(sweep::agent_kills(command))), &[]);
    }
}

#[test]
fn a_coordinator_that_sleeps_does_no_harm_when_it_wakes_up() {
    for (command, other, known) in [
        (Command::RebootWorker, Command::RebootOtherWorker, &[][..]),
        (Command::RebootControlPlane, Command::RebootOtherControlPlane, &[]),
    ] {
        keeps(&format!("{command:?}"), &play(&thinned(sweep::freezes(command, other))), known);
    }
}

#[test]
fn an_address_may_become_another_machines_at_any_time() {
    for (command, machine, other) in [(Command::RebootWorker, "w1", "w2"), (Command::RebootControlPlane, "cp3", "cp1")]
    {
        keeps(&format!("{command:?}"), &play(&thinned(sweep::misroutings(command, machine, other))), &[]);
    }
}

#[test]
fn whatever_goes_wrong_promises_are_kept() {
    let histories: Vec<_> = (0..number().unwrap_or(FEW)).map(random::history).collect();
    keeps("random histories", &play(&histories), &[(Rule::DoneAgain, 30)]);
}
