//! Where an operation's time goes, on the site's clock: a step waits for what proves something, and for nothing else. Each bound is what
//! the doubles themselves take (a job 1 s, an apiserver 2 s until it is ready, a boot 30 s, a renewal each 2 s, the pool's settle time
//! of 1 s) and a look or two at what is awaited. A step that becomes slower must say here what for.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use usher_coordinator::exit::Exit;
use usher_testkit::rig::site::{Change, TestSite, Then, reboot, restart};

/// How long each step took that began, as `MACHINE: STEP`, and what is between a turn's end and the next one's beginning, as `between
/// turns`.
async fn steps(change: Change) -> Vec<(String, Duration)> {
    let site = TestSite::with_pool().await;
    let mut marks: Vec<(String, Instant)> = Vec::new();
    let ended = site.run_and(change, |told| {
        let words: Vec<_> = told.splitn(3, ": ").collect();
        match words[..] {
            [_, word] if word.starts_with("begins") => {}
            [_, "done"] => marks.push(("between turns".to_owned(), Instant::now())),
            [_, word] if !word.contains(" waits") && !told.starts_with("warning") => {
                marks.push((told.to_owned(), Instant::now()));
            }
            _ => {}
        }
        Then::GoOn
    });
    let ended = ended.await;
    assert_eq!(ended.exit, Exit::Done, "{ended:#?}");
    marks.windows(2).map(|pair| (pair[0].0.clone(), pair[1].1 - pair[0].1)).collect()
}

/// Holds each step to its bound in seconds, by the step's word.
async fn holds(change: Change, bounds: &[(&str, f64)]) {
    let bounds: BTreeMap<_, _> = bounds.iter().copied().collect();
    let took = steps(change).await;
    let word = |step: &str| step.rsplit(": ").next().unwrap_or_default().to_owned();
    let table: Vec<_> = took.iter().map(|(step, took)| format!("{:7.3} {step}", took.as_secs_f64())).collect();
    let slow =
        took.iter().filter(|(step, took)| bounds.get(&*word(step)).is_none_or(|bound| took.as_secs_f64() > *bound));
    let slow: Vec<_> = slow.collect();
    assert!(slow.is_empty(), "{slow:#?}\n{}", table.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_control_plane_waits_for_nothing_that_proves_nothing() {
    let change = restart(&["kube-apiserver", "kube-controller-manager", "kube-scheduler"]);
    holds(
        change,
        &[
            ("depool", 1.6),
            ("restart", 4.1),
            ("pool", 0.6),
            ("leaders", 4.6),
            ("gap", 10.1),
            ("hand over", 3.6),
            ("start", 1.6),
            ("between turns", 0.6),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reboot_of_a_control_plane_waits_for_nothing_that_proves_nothing() {
    holds(
        reboot(&["cp3"]),
        &[
            ("preflight", 0.6),
            ("cordon", 0.1),
            ("drain", 1.1),
            ("hand over", 6.1),
            ("depool", 1.6),
            ("reboot", 33.0),
            ("units", 4.1),
            ("pool", 0.6),
            ("leaders", 4.6),
            ("ready", 31.0),
            ("uncordon", 0.1),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reboot_of_a_worker_waits_for_nothing_that_proves_nothing() {
    holds(
        reboot(&["w1"]),
        &[("preflight", 0.6), ("cordon", 0.1), ("drain", 35.0), ("reboot", 33.0), ("ready", 31.0), ("uncordon", 0.1)],
    )
    .await;
}
