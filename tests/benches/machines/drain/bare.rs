//! usher beside the real kubectl, and beside nothing but the evictions themselves, on pods that nobody replaces.
//!
//! So all that the API servers do is the drain. Where successors start meanwhile, controllers, scheduler and kubelets use the
//! same few cores, and the time is mostly theirs: `twins` measures that.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use usher_testkit::bed::{Bed, CpuTimes, Fleet, Measured, Pool, Tool};

use super::{
    super::results::{Results, median},
    tell, tell_stolen, wall,
};

const POOL: Pool = Pool("bare");
/// Far more than any case needs.
const ROOM: usize = 2000;
/// As many as usher itself has in flight at most.
const AT_ONCE: usize = 64;

/// A number of pods on one node.
struct Case {
    /// The part of the benchmark, and the beginning of its figures' names.
    name: &'static str,
    pods: usize,
    /// How often it is measured; the median counts.
    rounds: usize,
    /// How many of them kubectl takes part in: it waits for a clock of its own for minutes, which is no noise.
    kubectl_rounds: usize,
    wall_goal: Option<f64>,
    /// None: the ratio of requests is not recorded.
    request_goal: Option<f64>,
    /// Whether usher's memory is recorded.
    rss: bool,
}

const CASES: [Case; 3] = [
    Case { name: "drain-30", pods: 30, rounds: 5, kubectl_rounds: 3, wall_goal: None, request_goal: None, rss: false },
    Case {
        name: "drain-110",
        pods: 110,
        rounds: 5,
        kubectl_rounds: 3,
        wall_goal: Some(0.12),
        request_goal: Some(0.55),
        rss: false,
    },
    Case {
        name: "drain-500",
        pods: 500,
        rounds: 3,
        kubectl_rounds: 1,
        wall_goal: Some(0.10),
        request_goal: Some(0.52),
        rss: true,
    },
];

/// What was measured of a case.
#[derive(Default)]
struct Runs {
    usher: Vec<Measured>,
    kubectl: Vec<Measured>,
    evictions: Vec<Duration>,
}

/// Measures the case of this name.
pub(crate) async fn measure(bed: &Bed, results: &mut Results, name: &str) -> anyhow::Result<()> {
    let case = CASES.iter().find(|case| case.name == name).with_context(|| format!("no drain is called {name:?}"))?;
    let fleet = Fleet::start(bed).await?;
    fleet.add(POOL, 0..1, ROOM, &[]).await?;
    let mut runs = Runs::default();
    for round in 0..case.rounds {
        // Nobody is always the first.
        if round % 2 == 0 {
            case.usher(bed, &fleet, results, &mut runs).await?;
            case.evictions(&fleet, results, &mut runs).await?;
        } else {
            case.evictions(&fleet, results, &mut runs).await?;
            case.usher(bed, &fleet, results, &mut runs).await?;
        }
        if round < case.kubectl_rounds {
            case.kubectl(bed, &fleet, results, &mut runs).await?;
        }
    }
    case.record(results, &runs);
    fleet.end().await
}

impl Case {
    async fn usher(&self, bed: &Bed, fleet: &Fleet, results: &Results, runs: &mut Runs) -> anyhow::Result<()> {
        let node = self.fill(fleet).await?;
        let run = bed.measured(Tool::Usher, &["drain", &node, "-r", "bench", "--yes", "--force"]).await?;
        self.ended(fleet, &node).await?;
        tell(results, self.name, Tool::Usher, &run);
        runs.usher.push(run);
        Ok(())
    }

    async fn kubectl(&self, bed: &Bed, fleet: &Fleet, results: &Results, runs: &mut Runs) -> anyhow::Result<()> {
        let node = self.fill(fleet).await?;
        let words = ["drain", &node, "--force", "--ignore-daemonsets", "--timeout=10m"];
        let run = bed.measured(Tool::Kubectl, &words).await?;
        self.ended(fleet, &node).await?;
        tell(results, self.name, Tool::Kubectl, &run);
        runs.kubectl.push(run);
        Ok(())
    }

    async fn evictions(&self, fleet: &Fleet, results: &Results, runs: &mut Runs) -> anyhow::Result<()> {
        let node = self.fill(fleet).await?;
        let before = CpuTimes::now()?;
        let took = fleet.evict_all(&node, AT_ONCE).await?;
        let stolen = tell_stolen(before.stolen_until(CpuTimes::now()?));
        results.say(&format!("{}: evictions alone {:.2}s, {stolen}", self.name, took.as_secs_f64()));
        runs.evictions.push(took);
        Ok(())
    }

    /// Puts the pods on the node, open as before the first drain.
    async fn fill(&self, fleet: &Fleet) -> anyhow::Result<String> {
        fleet.cordon(POOL, 0..1, false).await?;
        let node = POOL.node(0);
        fleet.place(&node, self.name, self.pods).await?;
        Ok(node)
    }

    async fn ended(&self, fleet: &Fleet, node: &str) -> anyhow::Result<()> {
        let left = fleet.pods_on(node).await?;
        ensure!(left == 0, "{left} pods are left on {node}");
        Ok(())
    }

    fn record(&self, results: &mut Results, runs: &Runs) {
        let name = self.name.replace('-', "_");
        let requests = |runs: &[Measured]| median(runs.iter().map(|run| run.requests.total() as f64).collect());
        let (usher, kubectl) = (wall(&runs.usher), wall(&runs.kubectl));
        let evictions = median(runs.evictions.iter().map(Duration::as_secs_f64).collect());
        results.record(format!("{name}_usher_s"), usher, None);
        results.record(format!("{name}_kubectl_s"), kubectl, None);
        results.record(format!("{name}_evictions_s"), evictions, None);
        results.record(format!("{name}_wall_ratio"), usher / kubectl, self.wall_goal);
        results.record(format!("{name}_evictions_ratio"), usher / evictions, None);
        if self.request_goal.is_some() {
            let ratio = requests(&runs.usher) / requests(&runs.kubectl);
            results.record(format!("{name}_request_ratio"), ratio, self.request_goal);
        }
        if self.rss {
            let peak = median(runs.usher.iter().map(|run| run.peak_rss_mib).collect());
            results.record(format!("{name}_rss_mib"), peak, None);
        }
    }
}
