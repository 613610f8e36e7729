//! Deterministic simulation of whole commands with everything that can go wrong. `tests/README.md` says how to replay a seed.

mod mutants;
mod promises;
mod sweeps;

use std::env;

use usher_testkit::sim::{History, random};

/// How many random histories, and whether sweeps leave nothing out: set by `make sim` and `make soak`.
const HISTORIES: &str = "USHER_SIM_HISTORIES";

/// The history with this seed alone, with its log.
const SEED: &str = "USHER_SIM_SEED";

/// Random histories of an ordinary test run.
const FEW: u64 = 60;

/// Of a sweep, an ordinary test run plays each n-th history.
const THINNED: usize = 8;

fn number() -> Option<u64> {
    env::var(HISTORIES).ok().map(|number| number.parse().expect("a number of histories"))
}

fn is_whole() -> bool {
    number().is_some()
}

/// A sweep, or a part of it that is spread over all of it.
fn thinned(sweep: Vec<History>) -> Vec<History> {
    let step = if is_whole() { 1 } else { THINNED };
    sweep.into_iter().step_by(step).collect()
}

#[test]
fn equal_seeds_give_equal_bytes() {
    for seed in 0..if is_whole() { 20 } else { 4 } {
        let (one, other) = (random::history(seed).play(), random::history(seed).play());
        let differs = one.log.iter().zip(&other.log).find(|(one, other)| one != other);
        assert!(one == other, "seed {seed}: {differs:#?}");
    }
}

#[test]
fn a_history_is_replayed_by_its_seed() {
    if let Ok(seed) = env::var(SEED) {
        let history = random::history(seed.parse().expect("a seed"));
        println!("{history:#?}\n{}", history.play());
    }
}
