//! `make bench`: what usher costs, measured on the real machines.
//!
//! Not timed tests: hosts are shared and noisy, so what can be compared is measured side by side in one run and given as a
//! ratio or a difference. Prints a table and writes `target/bench/results.json`, one flat object of name → number.

mod machines {
    pub(crate) mod agent;
    pub(crate) mod handover;
    pub(crate) mod reboot;
    pub(crate) mod results;
    pub(crate) mod roll;
}

use anyhow::Context as _;
use machines::{agent, handover, reboot, results::Results, roll};
use usher_testkit::bed::Bed;

fn main() -> anyhow::Result<()> {
    // One thread: whoever gets hold of a bed is moved into its network.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    // A second provider cannot be installed; that one is there is all that matters.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut results = Results::default();
    let bed = Bed::shared().await.context("the bed did not start")?;
    // The agent comes after the reboot, which leaves it an operation to be asked for.
    for part in ["binaries", "reboot", "agent", "hand-over", "roll"] {
        results.say(&format!("measuring: {part}"));
        bed.restore().await.context("the bed is not whole")?;
        match part {
            "binaries" => agent::binaries(&mut results)?,
            "agent" => agent::measure(&bed, &mut results).await?,
            "reboot" => reboot::measure(&bed, &mut results).await?,
            "hand-over" => handover::measure(&bed, &mut results).await?,
            _ => roll::measure(&bed, &mut results).await?,
        }
    }
    bed.restore().await?;
    results.finish()
}
