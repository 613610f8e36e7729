//! How long there are no controllers when the leader of kube-controller-manager is restarted, both ways.

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use usher_testkit::bed::Bed;

use super::results::{Results, median};

const COMPONENT: &str = "kube-controller-manager";

/// Of which the middle one counts.
const ROUNDS: usize = 3;

pub(crate) async fn measure(bed: &Bed, results: &mut Results) -> anyhow::Result<()> {
    for (name, handover, goal) in [("kcm_gap_plain_s", false, None), ("kcm_gap_handover_s", true, Some(3.0))] {
        let mut gaps = Vec::new();
        for _ in 0..ROUNDS {
            gaps.push(gap(bed, handover).await?);
        }
        results.record(name, median(gaps), goal);
    }
    Ok(())
}

/// From the end of the leader's process to the moment another one acquired the lease. All machines share one clock.
async fn gap(bed: &Bed, handover: bool) -> anyhow::Result<f64> {
    let leader = bed.wait_leader(COMPONENT).await?;
    let handover = format!("--handover={handover}");
    let words = ["restart", COMPONENT, "--nodes", &leader, "-r", "bench", "--yes", "--progress", "none", &handover];
    bed.usher(&words).await?.success()?;
    let unit = format!("{COMPONENT}.service");
    let words = ["systemctl", "show", &unit, "--value", "--timestamp=us+utc", "--property=ActiveExitTimestamp"];
    let ended = bed.exec(&leader, &words).await?.success()?.stdout;
    let ended = systemd_time(ended.trim()).with_context(|| format!("no time: {ended:?}"))?;
    let words = ["get", "lease", COMPONENT, "-n", "kube-system", "-o", "jsonpath={.spec.acquireTime}"];
    let acquired: Timestamp = bed.kubectl(&words).await?.success()?.stdout.trim().parse()?;
    let gap = acquired.duration_since(ended).as_secs_f64();
    ensure!(gap > 0.0, "the lease was acquired {gap}s before its holder ended");
    Ok(gap)
}

/// `Sun 2026-11-22 16:31:07.123456 UTC`
fn systemd_time(text: &str) -> Option<Timestamp> {
    let mut words = text.split(' ').skip(1);
    let (date, time) = (words.next()?, words.next()?);
    format!("{date}T{time}Z").parse().ok()
}
