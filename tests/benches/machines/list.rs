//! A table of ten thousand pods of an everyday size, beside kubectl's.

use anyhow::ensure;
use usher_testkit::bed::{Bed, Fleet, Measured, Tool};

use super::results::{Results, median};

const PODS: usize = 10_000;

/// Tables by each tool, of which the middle one counts.
const ROUNDS: usize = 5;

pub(crate) async fn measure(bed: &Bed, results: &mut Results) -> anyhow::Result<()> {
    let fleet = Fleet::start(bed).await?;
    fleet.pile("pile", PODS).await?;
    let (mut usher, mut kubectl) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Neither tool is always the first.
        let order = if round % 2 == 0 { [Tool::Usher, Tool::Kubectl] } else { [Tool::Kubectl, Tool::Usher] };
        for tool in order {
            let run = list(bed, tool).await?;
            let (took, rss, requests) = (run.output.took.as_secs_f64(), run.peak_rss_mib, &run.requests);
            results.say(&format!("list-10k: {:<7} {took:>7.2}s {rss:>6.1} MiB, requests {requests}", tool.name()));
            match tool {
                Tool::Usher => usher.push(run),
                Tool::Kubectl => kubectl.push(run),
            }
        }
    }
    let wall = |runs: &[Measured]| median(runs.iter().map(|run| run.output.took.as_secs_f64()).collect());
    let rss = |runs: &[Measured]| median(runs.iter().map(|run| run.peak_rss_mib).collect());
    results.record("pods_list_10k_usher_s", wall(&usher), None);
    results.record("pods_list_10k_kubectl_s", wall(&kubectl), None);
    results.record("pods_list_10k_wall_ratio", wall(&usher) / wall(&kubectl), Some(0.7));
    results.record("pods_list_10k_rss_mib", rss(&usher), Some(60.0));
    results.record("pods_list_10k_kubectl_rss_mib", rss(&kubectl), None);
    fleet.clear_pile().await?;
    fleet.end().await
}

async fn list(bed: &Bed, tool: Tool) -> anyhow::Result<Measured> {
    let words: &[&str] = match tool {
        Tool::Usher => &["pods", "list", "-A", "-o", "wide"],
        Tool::Kubectl => &["get", "pods", "-A", "-o", "wide"],
    };
    let run = bed.measured(tool, words).await?;
    let lines = run.output.stdout.lines().count();
    ensure!(lines > PODS, "{} printed {lines} lines", tool.name());
    Ok(run)
}
