//! `make bench`: what usher costs, measured on the real machines.
//!
//! Not timed tests: hosts are shared and noisy, so what can be compared is measured side by side in one run and given as a
//! ratio or a difference. Prints a table and writes `target/bench/results.json`, one flat object of name → number.
//! A part that fails does not cost the figures of the others.
//! With words behind `--`, as in `cargo bench … -- drain`, only the parts that contain one of them are measured.

mod machines {
    pub(crate) mod agent;
    pub(crate) mod drain;
    pub(crate) mod flood;
    pub(crate) mod handover;
    pub(crate) mod list;
    pub(crate) mod reboot;
    pub(crate) mod results;
    pub(crate) mod roll;
    pub(crate) mod rollout;
    pub(crate) mod scale;
}

use anyhow::{Context as _, ensure};
use machines::{agent, drain, flood, handover, list, reboot, results::Results, roll, rollout, scale};
use usher_testkit::bed::Bed;

/// What is measured without machines, first.
const ALONE: [&str; 2] = ["binaries", "flood"];

/// On the machines, in this order.
const PARTS: [&str; 13] = [
    "reboot",
    "agent",
    "hand-over",
    "roll",
    "drain-30",
    "drain-110",
    "drain-500",
    "drain-moved",
    "drain-pdb",
    "drain-many",
    "rollout-100",
    "list-10k",
    "scale",
];

fn main() -> anyhow::Result<()> {
    // One thread: attaching to a bed moves the calling thread into its network.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    // A second provider cannot be installed; that one is there is all that matters.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut results = Results::default();
    // cargo adds an option of its own.
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &&&str| words.is_empty() || words.iter().any(|word| part.contains(word.as_str()));
    let mut failed = Vec::new();
    for part in ALONE.iter().filter(wanted) {
        results.say(&format!("measuring: {part}"));
        let measured = match *part {
            "binaries" => agent::binaries(&mut results),
            _ => flood::measure(&mut results).await,
        };
        note(&mut results, &mut failed, part, measured)?;
    }
    if PARTS.iter().any(|part| wanted(&part)) {
        let bed = Bed::shared().await.context("the bed did not start")?;
        for part in PARTS.iter().filter(wanted) {
            results.say(&format!("measuring: {part}"));
            bed.restore().await.context("the bed is not whole")?;
            let measured = measure_part(&bed, &mut results, part).await;
            note(&mut results, &mut failed, part, measured)?;
        }
        bed.restore().await?;
    }
    results.print();
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// Writes what there is, and remembers a part that failed.
fn note(
    results: &mut Results,
    failed: &mut Vec<&'static str>,
    part: &'static str,
    measured: anyhow::Result<()>,
) -> anyhow::Result<()> {
    if let Err(error) = measured {
        results.say(&format!("{part} failed: {error:#}"));
        failed.push(part);
    }
    results.write()
}

async fn measure_part(bed: &Bed, results: &mut Results, part: &str) -> anyhow::Result<()> {
    match part {
        "agent" => agent::measure(bed, results).await,
        "reboot" => reboot::measure(bed, results).await,
        "hand-over" => handover::measure(bed, results).await,
        "roll" => roll::measure(bed, results).await,
        "rollout-100" => rollout::measure(bed, results).await,
        "list-10k" => list::measure(bed, results).await,
        "scale" => scale::measure(bed, results).await,
        "drain-many" => drain::many::measure(bed, results).await,
        "drain-moved" | "drain-pdb" => drain::twins::measure(bed, results, part).await,
        case => drain::bare::measure(bed, results, case).await,
    }
}
