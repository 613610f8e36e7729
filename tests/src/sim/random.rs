//! A history drawn from a seed.

use std::time::Duration;

use super::{
    blow::{ApiFault, Blow, Fault, When},
    command::Command,
    history::{History, machines},
};

/// How long a command takes if nothing goes wrong, roughly: when things may go wrong.
const WITHIN: Duration = Duration::from_secs(75);

/// The history of a seed: any command, any latency, 4 to 12 faults, and in seven of ten a kill of the coordinator.
pub fn history(seed: u64) -> History {
    let mut chance = fastrand::Rng::with_seed(seed);
    let command = Command::SWEPT[chance.usize(..Command::SWEPT.len())];
    let latency = [None, Some(5), Some(40), Some(300)][chance.usize(..4)].map(Duration::from_millis);
    let mut faults: Vec<_> = (0..chance.usize(4..=12)).map(|_| fault(&mut chance)).collect();
    if chance.u8(..10) < 7 {
        faults.push(Fault::new(when(&mut chance), Blow::Kill));
    }
    let again_after = seconds(&mut chance, 1, 120);
    let goes_down_after = Duration::from_millis([100, 500, 3_000, 8_000][chance.usize(..4)]);
    History { seed, latency, faults, again_after, goes_down_after, ..History::undisturbed(command) }
}

fn fault(chance: &mut fastrand::Rng) -> Fault {
    let all: Vec<_> = machines().collect();
    let machine = all[chance.usize(..all.len())];
    let blow = match chance.u8(..9) {
        0 => return Fault::new(When::Moment(chance.usize(..140)), Blow::KillAgent(None)),
        1 => Blow::KillAgent(Some(machine)),
        2 => Blow::Reset(machine),
        3 => Blow::Partition(machine, seconds(chance, 1, 40)),
        4 => Blow::NoApi(seconds(chance, 1, 25)),
        5 => Blow::PowerLoss(["w1", "w2"][chance.usize(..2)]),
        _ => {
            let fault = [ApiFault::Refuse, ApiFault::Fail, ApiFault::LoseAnswer][chance.usize(..3)];
            return Fault::new(When::Request(chance.usize(..320)), Blow::Api(fault));
        }
    };
    Fault::new(When::Time(WITHIN.mul_f64(chance.f64())), blow)
}

fn when(chance: &mut fastrand::Rng) -> When {
    match chance.u8(..3) {
        0 => When::Moment(chance.usize(..140)),
        1 => When::Look(chance.usize(..90)),
        _ => When::Time(WITHIN.mul_f64(chance.f64())),
    }
}

fn seconds(chance: &mut fastrand::Rng, least: u64, most: u64) -> Duration {
    Duration::from_secs(chance.u64(least..=most))
}
