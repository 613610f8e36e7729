//! A hundred nodes with ten thousand pods, drained in one operation.

use std::time::Duration;

use usher_testkit::bed::{Bed, CONTROL_PLANES, Fleet, Pool, Tool, Workload};

use super::{super::results::Results, tell};

const POOL: Pool = Pool("many");
const NODES: usize = 100;
/// As many pods as a kubelet allows by default; the scheduler spreads them well enough.
const ROOM: usize = 110;
/// Where the successors go, as a hundred other nodes would be there for them in earnest.
const SPARES: usize = 10;
const SPARE_ROOM: usize = 2000;

const DEPLOYMENTS: usize = 100;
const REPLICAS: usize = 100;

/// How many of them are drained at a time.
const CONCURRENCY: &str = "20";

/// For each node. The bed's cluster file allows two minutes, which is for nodes that are drained alone.
const TIMEOUT: &str = "30m";

/// What the nodes to be drained are chosen by.
const LABEL: (&str, &str) = ("fleet.usher.dev/drain", "yes");

/// By themselves the controllers ask 20 times a second, and ten thousand pods would take them ten minutes.
const IN_HASTE: &str = "[Service]\nEnvironment=\"ARGS=--kube-api-qps=500 --kube-api-burst=1000\"\n";

async fn hasten(bed: &Bed) -> anyhow::Result<()> {
    for machine in CONTROL_PLANES {
        for unit in ["kube-controller-manager.service", "kube-scheduler.service"] {
            bed.override_unit(machine.name, unit, IN_HASTE).await?;
            bed.exec(machine.name, &["systemctl", "restart", unit]).await?.success()?;
        }
    }
    bed.wait_control_plane().await
}

pub(crate) async fn measure(bed: &Bed, results: &mut Results) -> anyhow::Result<()> {
    hasten(bed).await?;
    let fleet = Fleet::start(bed).await?;
    fleet.add(POOL, 0..NODES, ROOM, &[LABEL]).await?;
    let workload = Workload {
        name: "many".into(),
        pool: POOL,
        deployments: DEPLOYMENTS,
        replicas: REPLICAS,
        max_unavailable: None,
        available_after: Duration::ZERO,
    };
    fleet.deploy(&workload).await?;
    fleet.settle().await?;
    fleet.add(POOL, NODES..NODES + SPARES, SPARE_ROOM, &[]).await?;

    let selector = format!("{}={}", LABEL.0, LABEL.1);
    let words =
        ["drain", "--selector", &selector, "-r", "bench", "--yes", "--concurrency", CONCURRENCY, "--timeout", TIMEOUT];
    let run = bed.measured(Tool::Usher, &words).await?;
    tell(results, "drain-many", Tool::Usher, &run);
    results.record("drain_100_nodes_10k_pods_s", run.output.took.as_secs_f64(), None);
    results.record("drain_100_nodes_10k_pods_rss_mib", run.peak_rss_mib, Some(150.0));
    fleet.end().await
}
