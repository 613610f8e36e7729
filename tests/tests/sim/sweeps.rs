//! Every point of a command at which something can go wrong, and random histories.

use usher_testkit::sim::{Command, Found, Rule, play, random, sweep};

use crate::{FEW, is_whole, number, thinned};

/// What usher cannot keep yet, by the sweep: in how many of its histories each promise is broken. tests/README.md says why. A number
/// that falls is to be written down here.
type Known = &'static [(Rule, usize)];

/// No promise was broken but those that are known to be.
fn keeps(what: &str, found: &Found, known: Known) {
    let is_known = |rule: Rule| known.iter().find(|(known, _)| *known == rule).map_or(0, |(_, count)| *count);
    for (rule, count) in &found.broken {
        assert!(*count <= is_known(*rule), "{what}: {rule:?} is broken {count} times: {}", found.of(|it| it == *rule));
    }
    if is_whole() {
        for (rule, count) in known {
            assert_eq!(found.broken.get(rule), Some(count), "{what}: {rule:?} is broken less often than is known");
        }
    }
}

#[test]
fn a_coordinator_may_be_killed_anywhere() {
    for (command, known) in [
        (Command::RebootWorker, &[(Rule::DoneAgain, 1000)][..]),
        (Command::RebootControlPlane, &[(Rule::DoneAgain, 1000)]),
        (Command::RestartThree, &[(Rule::DoneAgain, 1000)]),
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
    keeps("random histories", &play(&histories), &[(Rule::DoneAgain, 1000)]);
}
