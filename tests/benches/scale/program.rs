//! The shipped program against five thousand nodes: how long it takes, and how much memory.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use tokio::time::Instant;

use super::{cluster::RACKS, serve};
use crate::results::{Results, median};

/// Runs of each command, of which the middle one counts.
const ROUNDS: usize = 5;

const KIB_IN_MIB: f64 = 1024.0;

/// A folder with what the process of the cluster has written. The process ends with it.
struct Cluster {
    folder: tempfile::TempDir,
    process: Child,
}

impl Cluster {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let process = Command::new(std::env::current_exe()?)
            .args([Path::new(serve::WORD), folder.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the cluster")?;
        let mut cluster = Self { folder, process };
        let mut line = String::new();
        let output = cluster.process.stdout.take().context("its output")?;
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == serve::READY, "the cluster did not start");
        Ok(cluster)
    }

    /// Runs the shipped program, and tells how long it took.
    fn usher(&self, arguments: &[&str]) -> anyhow::Result<(Output, Duration)> {
        let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/usher");
        let begun = Instant::now();
        let output = Command::new(&program)
            .args(arguments)
            .env("USHER_CLUSTER_FILE", self.folder.path().join("cluster.toml"))
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("no {}: make build", program.display()))?;
        let took = begun.elapsed();
        ensure!(output.status.success(), "usher {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok((output, took))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its standard input ends with this process at the latest; an error means that it has ended.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

pub(crate) fn measure(results: &mut Results) -> anyhow::Result<()> {
    let begun = Instant::now();
    let cluster = Cluster::start()?;
    results.record("scale_set_up_s", begun.elapsed().as_secs_f64(), None);

    let status = repeat(results, &cluster, &["status"], |text| {
        let all = format!("{0} of {0} agents answer", serve::NODES);
        ensure!(text.contains(&all), "not all agents answered:\n{}", text.lines().next().unwrap_or_default());
        Ok(())
    })?;
    results.record("scale_status_s", status.took, Some(3.0));
    // The agents share this host's processors with the program, as they would not.
    results.record("scale_status_cpu_s", status.computed, None);
    // Children that were waited for, of which the cluster is none yet.
    results.record("scale_status_rss_mib", peak_rss_mib()?, Some(150.0));

    let nodes = serve::NODES / RACKS;
    let plan = repeat(results, &cluster, &["reboot", "-l", "rack=r1", "--dry-run"], |text| {
        ensure!(text.contains(&format!("-{nodes}")) || text.contains(&format!("-{}", nodes + 1)), "no plan:\n{text}");
        Ok(())
    })?;
    results.record("scale_plan_reboot_s", plan.took, Some(2.0));
    results.record("scale_plan_reboot_cpu_s", plan.computed, None);
    results.record("scale_rss_mib", peak_rss_mib()?, Some(150.0));
    Ok(())
}

/// What a run of the program takes, in seconds: by the clock, and of its processors.
struct Cost {
    took: f64,
    computed: f64,
}

/// The middle costs of several runs, each of which must say what it should.
fn repeat(
    results: &Results,
    cluster: &Cluster,
    arguments: &[&str],
    check: impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Cost> {
    let (mut took, mut computed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = computed_s()?;
        let (output, time) = cluster.usher(arguments)?;
        check(&String::from_utf8_lossy(&output.stdout))?;
        let (time, work) = (time.as_secs_f64(), computed_s()? - before);
        results.say(&format!("scale: usher {:<36} {time:>6.2}s, of processors {work:>6.2}s", arguments.join(" ")));
        took.push(time);
        computed.push(work);
    }
    Ok(Cost { took: median(took), computed: median(computed) })
}

/// What children that were waited for have taken of processors, in seconds.
fn computed_s() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// The most memory that one of the runs so far has had.
fn peak_rss_mib() -> anyhow::Result<f64> {
    let kib = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    Ok(kib as f64 / KIB_IN_MIB)
}
