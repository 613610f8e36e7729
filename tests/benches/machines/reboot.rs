//! What a polite reboot costs over the machine's own boot.

use std::{fs, io::Write as _, time::Duration};

use anyhow::{Context as _, ensure};
use tempfile::NamedTempFile;
use tokio::time::Instant;
use usher_testkit::bed::{Bed, until};

use super::results::{Results, median};

/// Of which the middle one counts.
const ROUNDS: usize = 3;

const NODE: &str = "w2";

/// A machine of the bed boots within seconds.
const BOOT_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn measure(bed: &Bed, results: &mut Results) -> anyhow::Result<()> {
    let mut overheads = Vec::new();
    for _ in 0..ROUNDS {
        bed.restore().await?;
        let plain = plain_reboot(bed).await?;
        bed.restore().await?;
        overheads.push(polite_reboot(bed).await? - plain);
    }
    results.record("reboot_overhead_s", median(overheads), Some(2.0));
    Ok(())
}

/// From `systemctl reboot` until the Node shows the new boot and is Ready: the machine's own time.
async fn plain_reboot(bed: &Bed) -> anyhow::Result<f64> {
    let before = boot_id(bed).await?;
    let begun = Instant::now();
    bed.reboot(NODE).await?;
    until("the Node to show its new boot", BOOT_WITHIN, async || {
        let now = node(bed).await.unwrap_or_default();
        Ok((!now.is_empty() && !now.starts_with(&before) && now.ends_with("True")).then_some(()))
    })
    .await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// The steps of `usher reboot` that any reboot of this machine has: from the call to the proof, without the drain, whose
/// time is the pods' own, and without the time for which the Node is watched on purpose. That is the shipped one: the bed's own
/// is shorter than the interval at which a kubelet renews its heartbeat, so that the proof would wait for nothing else.
async fn polite_reboot(bed: &Bed) -> anyhow::Result<f64> {
    let before = boot_id(bed).await?;
    let cluster_file = bed.folder().cluster_file();
    let settings = fs::read_to_string(&cluster_file)?;
    // Beside it, for its paths are relative.
    let mut file = NamedTempFile::new_in(cluster_file.parent().context("no folder")?)?;
    for line in settings.lines().filter(|line| !line.starts_with("settle")) {
        writeln!(file, "{line}")?;
    }
    let words = ["reboot", NODE, "-r", "bench", "--yes", "--progress", "json", "-o", "json"];
    let output = bed.usher_with(file.path(), &words).await?.success()?;
    ensure!(boot_id(bed).await? != before, "{NODE} did not reboot");
    let mut begun = None;
    let mut ended = None;
    for line in output.stderr.lines().filter(|line| line.starts_with('{')) {
        let event: serde_json::Value = serde_json::from_str(line)?;
        let at = event["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok()).context("no time")?;
        match (event["event"].as_str(), event["step"].as_str()) {
            (Some("stepBegan"), Some("reboot")) => begun = Some(at),
            (Some("turnEnded"), _) => ended = Some(at),
            _ => {}
        }
    }
    let took = ended.context("no end")?.duration_since(begun.context("no reboot")?).as_secs_f64();
    let site = usher_coordinator::site_file::load(file.path())?;
    Ok(took - site.defaults.settle.as_secs_f64())
}

async fn boot_id(bed: &Bed) -> anyhow::Result<String> {
    Ok(node(bed).await?.split(' ').next().unwrap_or_default().to_owned())
}

async fn node(bed: &Bed) -> anyhow::Result<String> {
    let path = r#"jsonpath={.status.nodeInfo.bootID} {.status.conditions[?(@.type=="Ready")].status}"#;
    Ok(bed.kubectl(&["get", "node", NODE, "-o", path]).await?.success()?.stdout)
}
