//! usher beside the real kubectl on pods that have successors: the same go to and fro between two nodes, driven out by one tool
//! and by the other.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use usher_testkit::bed::{Bed, Fleet, Measured, Pool, Tool, Workload};

use super::{super::results::Results, tell, wall};

const POOL: Pool = Pool("twins");
/// Far more than any case needs: where a pod fits is the scheduler's question, not ours.
const ROOM: usize = 2000;
/// Nobody runs hundreds of pods in one Deployment on one node.
const PODS_PER_DEPLOYMENT: usize = 10;

/// Some pods on one node.
struct Case {
    /// As a part of the benchmark, and as the begin of its figures' names.
    name: &'static str,
    pods: usize,
    max_unavailable: Option<usize>,
    wall_goal: Option<f64>,
}

const CASES: [Case; 2] = [
    Case { name: "drain-moved", pods: 110, max_unavailable: None, wall_goal: None },
    Case { name: "drain-pdb", pods: 10, max_unavailable: Some(1), wall_goal: Some(0.2) },
];

/// Drains by each tool, of which the middle one counts.
const ROUNDS: usize = 3;

/// Measures the case of this name.
pub(crate) async fn measure(bed: &Bed, results: &mut Results, name: &str) -> anyhow::Result<()> {
    let case = CASES.iter().find(|case| case.name == name).with_context(|| format!("no drain is called {name:?}"))?;
    let fleet = Fleet::start(bed).await?;
    fleet.add(POOL, 0..2, ROOM, &[]).await?;
    case.measure(bed, &fleet, results).await?;
    fleet.end().await
}

impl Case {
    async fn measure(&self, bed: &Bed, fleet: &Fleet, results: &mut Results) -> anyhow::Result<()> {
        // All begin on the first; the second is there for their successors.
        fleet.cordon(POOL, 1..2, true).await?;
        let workload = Workload {
            name: self.name.to_owned(),
            pool: POOL,
            deployments: self.pods.div_ceil(PODS_PER_DEPLOYMENT),
            replicas: PODS_PER_DEPLOYMENT,
            max_unavailable: self.max_unavailable,
            available_after: Duration::ZERO,
        };
        fleet.deploy(&workload).await?;
        fleet.settle().await?;
        fleet.cordon(POOL, 1..2, false).await?;

        let mut full = 0;
        let (mut usher, mut kubectl) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Neither tool is always the first.
            let order = if round % 2 == 0 { [Tool::Usher, Tool::Kubectl] } else { [Tool::Kubectl, Tool::Usher] };
            for tool in order {
                let there = fleet.pods_on(&POOL.node(full)).await?;
                ensure!(there == self.pods, "{there} pods are on the node, not {}", self.pods);
                let run = drain(bed, tool, &POOL.node(full)).await?;
                tell(results, self.name, tool, &run);
                match tool {
                    Tool::Usher => usher.push(run),
                    Tool::Kubectl => kubectl.push(run),
                }
                // Not before all successors are bound: some would come back.
                fleet.settle().await?;
                fleet.cordon(POOL, full..full + 1, false).await?;
                full = 1 - full;
            }
        }
        self.record(results, &usher, &kubectl);
        Ok(())
    }

    fn record(&self, results: &mut Results, usher: &[Measured], kubectl: &[Measured]) {
        let name = self.name.replace('-', "_");
        results.record(format!("{name}_usher_s"), wall(usher), None);
        results.record(format!("{name}_kubectl_s"), wall(kubectl), None);
        results.record(format!("{name}_wall_ratio"), wall(usher) / wall(kubectl), self.wall_goal);
    }
}

/// As an operator would, with the flags that kubectl needs to drain a node on which DaemonSets run.
async fn drain(bed: &Bed, tool: Tool, node: &str) -> anyhow::Result<Measured> {
    match tool {
        Tool::Usher => bed.measured(tool, &["drain", node, "-r", "bench", "--yes", "--delete-emptydir-data"]).await,
        Tool::Kubectl => {
            let words = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=10m"];
            bed.measured(tool, &words).await
        }
    }
}
