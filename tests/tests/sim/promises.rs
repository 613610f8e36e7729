//! Single histories: what usher promises, one at a time.

use std::time::Duration;

use usher_coordinator::exit::Exit;
use usher_testkit::{
    sim::{Blow, Command, Fault, History, Played, When},
    systemd::CallMoment,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn commands_end_well_when_nothing_goes_wrong() {
    for command in Command::SWEPT {
        let played = History::undisturbed(command).play();
        assert!(played.exit == Some(Exit::Done) && played.violations.is_empty(), "{command:?}\n{played}");
    }
}

#[test]
fn a_machine_of_the_control_plane_that_the_cluster_file_does_not_list_is_left_alone() {
    let played = History::undisturbed(Command::RebootUnlisted).play();
    assert!(played.exit == Some(Exit::Refused) && played.violations.is_empty(), "{played}");
    assert!(played.moments.is_empty(), "{:#?}", played.moments);
}

#[test]
fn an_apiserver_that_is_not_ready_any_more_closes_the_last_gate() {
    let fault = Fault::new(When::Time(seconds(3)), Blow::NotReady("cp1", seconds(200)));
    let played = History::undisturbed(Command::RebootControlPlane).with(fault).play();
    assert!(played.exit != Some(Exit::Done) && played.violations.is_empty(), "{played}");
}

#[test]
fn a_cordon_that_became_somebody_elses_stays() {
    let fault = Fault::new(When::Time(seconds(20)), Blow::CordonedByHand("w1"));
    let played = History::undisturbed(Command::RebootWorker).with(fault).play();
    assert!(played.violations.is_empty(), "{played}");
}

/// When the first command is told to be here, on the history's clock.
fn time_of(played: &Played, told: &str) -> Duration {
    let line = played.log.iter().find(|line| line.ends_with(&format!("op1: {told}")));
    let line = line.unwrap_or_else(|| panic!("{told:?} was never told: {played}"));
    Duration::from_secs_f64(line.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn a_reboot_whose_call_never_arrived_is_known_not_to_have_happened() {
    let undisturbed = History::undisturbed(Command::RebootWorker).play();
    let asked = time_of(&undisturbed, "w1: reboot");
    for cut_off in [20, 45, 100].map(seconds) {
        let fault = Fault::new(When::Time(asked), Blow::Partition("w1", cut_off));
        let played = History::undisturbed(Command::RebootWorker).with(fault).play();
        assert!(played.violations.is_empty(), "{played}");
        // Neither is the machine waited for as if it went down, which takes minutes, nor is it left cordoned.
        let ends = time_of(&played, if played.exit == Some(Exit::Done) { "w1: done" } else { "w1: not done" });
        assert!(ends < asked + cut_off + seconds(120), "{played}");
    }
}

#[test]
fn a_coordinator_that_sleeps_after_its_lock_was_confirmed_sends_nothing_when_it_wakes_up() {
    let moments = History::undisturbed(Command::RebootWorker).play().moments;
    let confirmed =
        moments.iter().enumerate().filter(|(_, it)| it.what.contains("leases/usher") && it.at == CallMoment::After);
    let confirmed: Vec<_> = confirmed.map(|(at, _)| at).collect();
    assert!(!confirmed.is_empty(), "{moments:#?}");
    for at in confirmed {
        let fault = Fault::new(When::Moment(at), Blow::Freeze(seconds(113)));
        let history = History::undisturbed(Command::RebootWorker).with(fault);
        let played = history.beside(seconds(20), Command::RebootOtherWorker).play();
        assert!(played.violations.is_empty(), "{at}: {played}");
    }
}

#[test]
fn an_address_that_becomes_another_machines_settles_nothing() {
    let moments = History::undisturbed(Command::RebootWorker).play().moments;
    let intent = moments.iter().position(|it| it.machine == Some("w1")).expect("an agent's moment");
    for at in intent..intent + 8 {
        let fault = Fault::new(When::Moment(at), Blow::Misrouted("w1", "w2", seconds(90)));
        let played = History::undisturbed(Command::RebootWorker).with(fault).play();
        assert!(played.violations.is_empty(), "{at}: {played}");
    }
}
