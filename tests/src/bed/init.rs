//! Process 1 of the sandbox: mounts what belongs to its namespaces, lays the bridge, then reaps orphans for ever.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

use super::{Folder, SANDBOX_ADDRESS};

/// Where the sandbox has the unified cgroup hierarchy, as systemd expects it.
pub(super) const CGROUPS: &str = "/sys/fs/cgroup";
/// The bridge that all machines are on.
pub(super) const BRIDGE: &str = "br0";

/// Runs as the sandbox's init. Returns at SIGTERM.
///
/// # Errors
/// If a mount or the bridge cannot be made.
pub async fn run(folder: &Folder) -> anyhow::Result<()> {
    // /proc still shows the host's ids: the only moment at which this process can learn its own.
    let host_pid = fs::read_link("/proc/self").context("cannot read /proc/self")?;

    mount_own("proc", "/proc")?;
    mount_own("sysfs", "/sys")?;
    // A clean unified hierarchy for the machines, however the host has mounted its own.
    mount_own("cgroup2", CGROUPS)?;
    // Sockets and locks of what runs here must not meet those of the host.
    mount_own("tmpfs", "/run")?;
    join_cgroup(folder, "init")?;

    ip(&["link", "set", "lo", "up"]).await?;
    ip(&["link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"]).await?;
    ip(&["address", "add", &format!("{SANDBOX_ADDRESS}/24"), "dev", BRIDGE]).await?;
    ip(&["link", "set", BRIDGE, "up"]).await?;

    let mut children = signal(SignalKind::child())?;
    let mut end = signal(SignalKind::terminate())?;
    // Written last: it says that the sandbox is ready.
    fs::write(folder.init_pid(), host_pid.to_string_lossy().as_bytes())?;
    loop {
        tokio::select! {
            _ = children.recv() => reap(),
            _ = end.recv() => return Ok(()),
        }
    }
}

fn mount_own(kind: &str, target: &str) -> anyhow::Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("cannot mount {target}"))
}

/// Moves this process into a cgroup of its own below the bed's: two nspawns in one cgroup would share their payload.
pub(super) fn join_cgroup(folder: &Folder, name: &str) -> anyhow::Result<()> {
    let cgroup = Path::new(CGROUPS).join(folder.cgroup()).join(name);
    fs::create_dir_all(&cgroup).with_context(|| format!("cannot make {}", cgroup.display()))?;
    fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string())
        .with_context(|| format!("cannot enter {}", cgroup.display()))
}

async fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("ip").args(arguments).status().await.context("cannot run ip")?;
    if !status.success() {
        bail!("ip {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

fn reap() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            Ok(_) | Err(_) => {}
        }
    }
}
