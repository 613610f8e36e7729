//! A thousand nodes on the real API servers: what a look at all of them costs. Their agents do not exist, which is the slowest case; what
//! five thousand that answer cost is measured without machines (`make bench-scale`).

use anyhow::ensure;
use usher_testkit::bed::{Bed, Fleet, Pool, Tool};

use super::results::{Results, median};

const POOL: Pool = Pool("scale");
const NODES: usize = 1000;
const ROOM: usize = 110;

/// Looks, of which the middle one counts.
const ROUNDS: usize = 3;

pub(crate) async fn measure(bed: &Bed, results: &mut Results) -> anyhow::Result<()> {
    let fleet = Fleet::start(bed).await?;
    fleet.add(POOL, 0..NODES, ROOM, &[]).await?;
    let (mut seconds, mut peak) = (Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        let run = bed.measured(Tool::Usher, &["status", "--only", "not-ready"]).await?;
        let took = run.output.took.as_secs_f64();
        results.say(&format!("scale: status {took:>6.2}s {:>6.1} MiB, requests {}", run.peak_rss_mib, run.requests));
        ensure!(run.output.stdout.contains("with a silent agent"), "no counts:\n{}", run.output.stdout);
        seconds.push(took);
        peak = peak.max(run.peak_rss_mib);
    }
    results.record("scale_bed_status_1k_s", median(seconds), None);
    results.record("scale_bed_status_1k_rss_mib", peak, Some(150.0));
    fleet.end().await
}
