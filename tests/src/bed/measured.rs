//! A program of the bed run to its end, with what it cost: time, requests, memory.

use std::{cell::Cell, fs, time::Duration};

use anyhow::{Context, ensure};
use tokio::time::sleep;

use super::{Bed, Output, Requests};

/// The kernel keeps the highest mark itself; only what is taken within the last of these before the end goes unseen.
const LOOK: Duration = Duration::from_millis(20);

/// What can be compared on a bed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// With the bed's cluster file.
    Usher,
    /// As the same administrator.
    Kubectl,
}

impl Tool {
    /// Its name on the command line, and the begin of its user agent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usher => "usher",
            Self::Kubectl => "kubectl",
        }
    }
}

/// What a run was and what it cost.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What it said, and how long it took.
    pub output: Output,
    /// What it asked of the API servers.
    pub requests: Requests,
    /// The most memory it had at once (`VmHWM` of `/proc/PID/status`), in MiB.
    pub peak_rss_mib: f64,
    /// The share of the CPUs that the host gave to others meanwhile, 0 to 1.
    pub stolen: f64,
}

/// What the CPUs have done since the boot, in ticks of all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    stolen: u64,
    total: u64,
}

impl CpuTimes {
    /// As `/proc/stat` has it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn now() -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        Self::read(&stat).context("/proc/stat begins with no line of all CPUs")
    }

    /// The share that the host gave to others between here and `later`, 0 to 1.
    pub fn stolen_until(self, later: Self) -> f64 {
        let total = later.total.saturating_sub(self.total).max(1);
        later.stolen.saturating_sub(self.stolen) as f64 / total as f64
    }

    /// The first eight figures: user, nice, system, idle, iowait, irq, softirq, steal. What follows is part of them.
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks = line.split_whitespace().take(8).map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        let stolen = *ticks.get(7)?;
        Some(Self { stolen, total: ticks.iter().sum() })
    }
}

impl Bed {
    /// Runs a tool and counts. Nobody else may use the same tool on this bed at the same time.
    ///
    /// # Errors
    /// If it fails, with all that it said, or if an audit log cannot be read.
    pub async fn measured(&self, tool: Tool, words: &[&str]) -> anyhow::Result<Measured> {
        let mark = self.mark_audit().await?;
        let peak = Cell::new(0.0);
        let before = CpuTimes::now()?;
        let watch = async |pid| watch(pid, &peak).await;
        let output = match tool {
            Tool::Usher => self.usher_watched(&self.folder.cluster_file(), words, watch).await,
            Tool::Kubectl => self.kubectl_watched(words, "", watch).await,
        }?
        .success()?;
        let stolen = before.stolen_until(CpuTimes::now()?);
        let requests = self.requests_since(&mark, &format!("{}/", tool.name())).await?;
        ensure!(requests.total() > 0, "{} left no trace in the audit logs", output.command);
        Ok(Measured { output, requests, peak_rss_mib: peak.get(), stolen })
    }
}

async fn watch(pid: u32, peak: &Cell<f64>) {
    let file = format!("/proc/{pid}/status");
    loop {
        // Gone, or a zombie without memory: the last figure stands.
        if let Some(kib) = fs::read_to_string(&file).ok().as_deref().and_then(high_water_mark) {
            peak.set(kib / 1024.0);
        }
        sleep(LOOK).await;
    }
}

/// In KiB.
fn high_water_mark(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{CpuTimes, high_water_mark};

    #[test]
    fn what_the_host_gave_to_others_is_told_as_a_share_of_all_cpus() {
        let before = CpuTimes::read("cpu  10 0 10 80 0 0 0 0 5 0\ncpu0 1 2\n").unwrap();
        let after = CpuTimes::read("cpu  20 0 20 130 0 0 0 30 9 0\n").unwrap();
        assert_eq!(before.stolen_until(after), 0.3);
        assert_eq!(before.stolen_until(before), 0.0);
    }

    #[test]
    fn the_high_water_mark_is_read_in_kib_and_a_zombie_has_none() {
        assert_eq!(high_water_mark("Name:\tusher\nVmHWM:\t   10240 kB\nVmRSS:\t 9000 kB\n"), Some(10240.0));
        assert_eq!(high_water_mark("Name:\tusher\nState:\tZ (zombie)\n"), None);
    }
}
