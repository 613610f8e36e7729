//! The simulator finds what is left out of usher.

use std::time::Duration;

use usher_testkit::{
    sim::{Blow, Command, Fault, History, Mutant, Played, Rule, When},
    systemd::CallMoment,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How many of these histories it takes to find the mutant by one of these promises. Without it, all of them are kept by then.
fn found(histories: impl IntoIterator<Item = History>, mutant: Mutant, rules: &[Rule]) -> usize {
    let breaks = |played: &Played| played.violations.iter().any(|violation| rules.contains(&violation.rule));
    let mut log = Vec::new();
    for (at, history) in histories.into_iter().enumerate() {
        let sane = history.play();
        assert!(!breaks(&sane), "without {mutant:?}: {history:#?}\n{:#?}", sane.violations);
        let played = history.without(mutant).play();
        if breaks(&played) {
            return at + 1;
        }
        log = played.log;
    }
    panic!("{mutant:?} was not found: {log:#?}");
}

#[test]
fn the_cordon_of_somebody_else() {
    let fault = Fault::new(When::Time(seconds(20)), Blow::CordonedByHand("w1"));
    let history = History::undisturbed(Command::RebootWorker).with(fault);
    assert_eq!(found([history], Mutant::UncordonsAnybodys, &[Rule::Uncordoned]), 1);
}

#[test]
fn the_second_look_at_the_facts() {
    let fault = Fault::new(When::Time(seconds(3)), Blow::NotReady("cp1", seconds(200)));
    let history = History::undisturbed(Command::RebootControlPlane).with(fault);
    assert_eq!(found([history], Mutant::NoSecondFacts, &[Rule::TwoDown]), 1);
}

#[test]
fn the_intent_before_the_act() {
    // The agent dies when login1 has taken the reboot, and another one looks at the disk while the machine still goes down.
    let slowly = History { goes_down_after: seconds(8), ..History::undisturbed(Command::RebootWorker) };
    let moments = slowly.play().moments;
    let asked = moments.iter().position(|moment| moment.what == "reboot" && moment.at == CallMoment::After);
    let history = slowly.with(Fault::new(When::Moment(asked.expect("a reboot")), Blow::KillAgent(None)));
    assert_eq!(found([history], Mutant::IntentAfterTheAct, &[Rule::Untrue]), 1);
}

#[test]
fn the_same_id_for_the_same_call() {
    let history = History::undisturbed(Command::RestartThree);
    assert_eq!(found([history], Mutant::FollowsByAFreshId, &[Rule::NotHealed, Rule::Twice]), 1);
}

#[test]
fn the_wait_for_the_next_leader() {
    let history = History::undisturbed(Command::RebootControlPlane);
    assert_eq!(found([history], Mutant::AwaitsNoLeader, &[Rule::LeaderRebooted]), 1);
}
