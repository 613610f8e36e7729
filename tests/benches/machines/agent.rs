//! The agent as it is shipped: its size, its memory, its start, and a call to it.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context as _;
use tokio::time::Instant;
use usher_coordinator::{agents::Agents, site_file};
use usher_testkit::bed::Bed;

use super::results::{Results, median};

const MIB: f64 = 1024.0 * 1024.0;

const MACHINE: &str = "w2";
const ADDRESS: &str = "10.77.0.22";

/// Starts, of which the middle one counts.
const STARTS: usize = 9;

/// Calls over one connection, after as many to warm it up as make no difference any more.
const WARM_UP: usize = 50;
const CALLS: usize = 1000;

/// A program as it is shipped.
pub(crate) fn release(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release").join(name)
}

pub(crate) fn binaries(results: &mut Results) -> anyhow::Result<()> {
    for (name, binary, goal) in
        [("agent_binary_mib", "usher-agent", Some(5.0)), ("coordinator_binary_mib", "usher", None)]
    {
        let file = release(binary);
        let size = fs::metadata(&file).with_context(|| format!("no {}: make build", file.display()))?.len();
        results.record(name, size as f64 / MIB, goal);
    }
    Ok(())
}

pub(crate) async fn measure(bed: &Bed, results: &mut Results) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        bed.exec(MACHINE, &["systemctl", "restart", "usher-agent"]).await?.success()?;
        // From fork to READY=1, by systemd's own clock.
        let begun = property(bed, "ExecMainStartTimestampMonotonic").await?;
        let ready = property(bed, "ActiveEnterTimestampMonotonic").await?;
        starts.push((ready - begun) / 1000.0);
    }
    results.record("agent_start_ms", median(starts), Some(50.0));

    let mut calls = Vec::new();
    {
        let site = site_file::load(&bed.folder().cluster_file())?;
        let ips = BTreeMap::from([(MACHINE.to_owned(), vec![ADDRESS.to_owned()])]);
        let agent = Agents::new(&site, ips)?.agent(MACHINE)?;
        // An agent that has done nothing yet answers it too, so that this part can be measured alone.
        for call in 0..WARM_UP + CALLS {
            let begun = Instant::now();
            agent.operations(1).await?;
            if call >= WARM_UP {
                calls.push(begun.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    results.record("rpc_mtls_p50_us", median(calls), Some(300.0));

    let pid = property(bed, "MainPID").await?;
    let status = bed.exec(MACHINE, &["cat", &format!("/proc/{pid}/status")]).await?.success()?;
    let rss = status.stdout.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = rss.trim().trim_end_matches(" kB").parse()?;
    results.record("agent_rss_mib", kib / 1024.0, Some(8.0));
    Ok(())
}

async fn property(bed: &Bed, name: &str) -> anyhow::Result<f64> {
    let shown =
        bed.exec(MACHINE, &["systemctl", "show", "usher-agent", "--value", "--property", name]).await?.success()?;
    shown.stdout.trim().parse().with_context(|| format!("{name}: {:?}", shown.stdout))
}
