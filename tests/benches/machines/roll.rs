//! A roll of the whole control plane: what it takes over the units' own restarts, and what clients notice of it.

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use usher_testkit::bed::{Bed, CONTROL_PLANES, Prober};

use super::results::Results;

pub(crate) async fn measure(bed: &Bed, results: &mut Results) -> anyhow::Result<()> {
    let prober = Prober::start(bed)?;
    let components = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    let words: Vec<&str> = ["restart"]
        .into_iter()
        .chain(components)
        .chain(["-r", "bench", "--yes", "--progress", "none", "-o", "json"])
        .collect();
    let report = bed.usher(&words).await?.success()?.json()?;
    let probes = prober.stop().await?;

    let operation = report["operation"].as_str().context("no operation in the report")?;
    let wall = report["tookSeconds"].as_f64().context("no time in the report")?;
    let mut own = 0.0;
    for machine in CONTROL_PLANES {
        own += unit_time(bed, machine.name, operation).await?;
    }
    let site = usher_coordinator::site_file::load(&bed.folder().cluster_file())?;
    let settle = site.load_balancer.as_ref().map(|balancer| balancer.settle.as_secs_f64()).unwrap_or_default();
    // What the site asked to wait for: between the apiservers, and after each was taken out of the pool.
    let machines = CONTROL_PLANES.len() as f64;
    let gaps = site.defaults.gap.as_secs_f64() * (machines - 1.0) + settle * machines;
    ensure!(own > 0.0, "no operation of {operation} is known to the agents");
    results.record("control_plane_roll_overhead_ratio", wall / (own + gaps), Some(1.1));
    results.record("control_plane_roll_s", wall, None);
    results.record("prober_failed_requests", probes.failed.len() as f64, Some(0.0));
    results.record("prober_requests", probes.sent as f64, None);
    Ok(())
}

/// How long the units of a machine took, from each agent's own record: from taking the order to the healthy unit.
async fn unit_time(bed: &Bed, machine: &str, operation: &str) -> anyhow::Result<f64> {
    let status = bed.usher(&["agent", "status", machine, "-o", "json"]).await?.success()?.json()?;
    let operations = status["operations"].as_array().context("no operations")?;
    let time = |value: &serde_json::Value| value.as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let took = operations
        .iter()
        .filter(|found| found["id"].as_str().is_some_and(|id| id.starts_with(&format!("{operation}."))))
        .filter_map(|found| Some(time(&found["endedAt"])?.duration_since(time(&found["startedAt"])?).as_secs_f64()));
    Ok(took.sum())
}
