//! Restarts of a hundred Deployments: usher beside a loop of `kubectl rollout restart` and `kubectl rollout status`.
//!
//! kwok's pods are ready at once, and then both tools wait for nothing but kube-controller-manager, which sends 20 requests a
//! second whatever is asked of it. Real pods need their time: here each counts as available after two seconds.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;
use usher_testkit::bed::{Bed, Fleet, Pool, Workload};

use super::results::Results;

const POOL: Pool = Pool("rollout");
const NODES: usize = 4;
/// Twice the pods fit, as a rollout starts new ones first.
const ROOM: usize = 110;
const DEPLOYMENTS: usize = 100;
const AVAILABLE_AFTER: Duration = Duration::from_secs(2);
/// Where the fleet lives.
const NAMESPACE: &str = "fleet";

pub(crate) async fn measure(bed: &Bed, results: &mut Results) -> anyhow::Result<()> {
    let fleet = Fleet::start(bed).await?;
    fleet.add(POOL, 0..NODES, ROOM, &[]).await?;
    let workload = Workload {
        name: "web".into(),
        pool: POOL,
        deployments: DEPLOYMENTS,
        replicas: 1,
        max_unavailable: None,
        available_after: AVAILABLE_AFTER,
    };
    fleet.deploy(&workload).await?;
    fleet.settle().await?;

    let usher = restart_by_usher(bed).await?;
    results.say(&format!("rollout-100: usher   {:>7.2}s", usher.as_secs_f64()));
    fleet.settle().await?;
    let kubectl = restart_by_kubectl(bed).await?;
    results.say(&format!("rollout-100: kubectl {:>7.2}s", kubectl.as_secs_f64()));

    results.record("rollout_restart_100_usher_s", usher.as_secs_f64(), None);
    results.record("rollout_restart_100_kubectl_s", kubectl.as_secs_f64(), None);
    results.record("rollout_restart_100_wall_ratio", usher.as_secs_f64() / kubectl.as_secs_f64(), Some(0.3));
    fleet.end().await
}

/// All in one command, as many at a time as usher does by default.
async fn restart_by_usher(bed: &Bed) -> anyhow::Result<Duration> {
    let words = ["rollout", "restart", "deployment", "-n", NAMESPACE, "--yes", "--progress", "none", "-o", "json"];
    let output = bed.usher(&words).await?.success()?;
    let report = output.json()?;
    let workloads = report["workloads"].as_array().map(Vec::as_slice).unwrap_or_default();
    let complete = workloads.iter().filter(|workload| workload["ended"] == "complete").count();
    ensure!(complete == DEPLOYMENTS, "{complete} of {DEPLOYMENTS} are complete");
    Ok(output.took)
}

/// As a shell loop does it: one after another, each awaited.
async fn restart_by_kubectl(bed: &Bed) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    for number in 0..DEPLOYMENTS {
        let deployment = format!("deployment/web-{number}");
        bed.kubectl(&["rollout", "restart", &deployment, "-n", NAMESPACE]).await?.success()?;
        bed.kubectl(&["rollout", "status", &deployment, "-n", NAMESPACE]).await?.success()?;
    }
    Ok(begun.elapsed())
}
