//! Single histories: what usher promises, one at a time.

use std::time::Duration;

use usher_coordinator::exit::Exit;
use usher_testkit::sim::{Blow, Command, Fault, History, When};

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
