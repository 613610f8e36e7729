//! Every point of a command at which something can go wrong, and random histories.

use usher_testkit::sim::{Command, Found, Rule, play, random, sweep};

use crate::{FEW, is_whole, number, thinned};

/// What usher cannot keep yet, and in how many histories of an ordinary run: tests/README.md says why. The number is exact, so that it
/// is noticed when it falls.
type Known = &'static [(Rule, usize)];

/// No promise was broken but those that are known to be.
fn keeps(what: &str, found: &Found, known: Known) {
    let is_known = |rule: Rule| known.iter().any(|(known, _)| *known == rule);
    let news = found.of(|rule| !is_known(rule));
    assert!(found.broken.keys().all(|rule| is_known(*rule)), "{what}: {news}");
    if !is_whole() {
        let broken: Vec<_> = found.broken.iter().map(|(rule, count)| (*rule, *count)).collect();
        assert_eq!(broken, known, "{what}: {}", found.of(|_| true));
    }
}

#[test]
fn a_coordinator_may_be_killed_anywhere() {
    for (command, known) in [
        (Command::RebootWorker, &[(Rule::DoneAgain, 8)][..]),
        (Command::RebootControlPlane, &[(Rule::DoneAgain, 9)]),
        (Command::RestartThree, &[(Rule::DoneAgain, 40)]),
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
fn whatever_goes_wrong_promises_are_kept() {
    let histories: Vec<_> = (0..number().unwrap_or(FEW)).map(random::history).collect();
    keeps("random histories", &play(&histories), &[(Rule::DoneAgain, 12)]);
}
