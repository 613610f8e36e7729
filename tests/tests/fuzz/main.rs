//! Does anything that comes from outside make usher panic, hang or answer nonsense? Frames, requests, stored files and
//! configuration files, each changed at random a bounded number of times.
//!
//! A run always makes the same inputs. `USHER_FUZZ_SEED` chooses others, and `USHER_FUZZ_RUNS` multiplies their number. An input
//! that fails is printed; once mended, it belongs into `corpus/`, where each file is tried as it is and is changed further. There are
//! also the attacks on HTTP/2 that have become known, requests at the edge of the contract, and files as a disk or a hand leaves them.

mod configuration;
mod frames;
mod mutate;
mod plain;
mod requests;
mod stored;

use std::{
    panic,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Panics of all tasks so far: one in a task of the agent ends that task alone, and nobody would hear of it.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics from now on, and prints them as before.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            before(info);
        }));
    });
}

/// Fails if anything has panicked since `before`, with the input that did it.
fn assert_no_panic(before: usize, input: &[u8]) {
    let panics = PANICS.load(Ordering::Relaxed);
    assert_eq!(panics, before, "this input made a task panic: {}", mutate::shown(input));
}
