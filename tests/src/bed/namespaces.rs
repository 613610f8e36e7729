//! The sandbox: one set of mount, network, PID, IPC and host-name namespaces for the whole bed.
//!
//! When its init ends, the kernel ends every process in it, and with them go all mounts, loop devices and links: nothing
//! can be left behind on the host but files in the bed's folder and empty cgroups.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, ensure};
use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::Command;

use super::{Folder, Output, folder::Settings, until};

/// Unsharing and mounting takes a quarter of a second; a busy host takes longer.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// The kernel ends everything in a PID namespace with its init.
const CLOSE_LIMIT: Duration = Duration::from_secs(20);

/// A sandbox that runs.
#[derive(Debug, Clone)]
pub(super) struct Sandbox {
    init: i32,
}

impl Sandbox {
    /// Starts the sandbox of `folder` and waits until its init has set it up.
    pub(super) async fn open(folder: &Folder) -> anyhow::Result<Self> {
        let settings: Settings = folder.read_settings()?;
        let log = File::create(folder.log("init"))?;
        let mut unshare = Command::new("setsid");
        unshare
            .args(["--fork", "unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"])
            .args(["--propagation", "private"])
            .arg(&settings.bed)
            .args([OsStr::new("internal"), OsStr::new("init"), folder.path().as_os_str()])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = unshare.status().await.context("cannot run setsid")?;
        ensure!(status.success(), "setsid failed: {status}");
        until("the sandbox's init", OPEN_LIMIT, async || Self::attach(folder))
            .await
            .with_context(|| format!("see {}", folder.log("init").display()))
    }

    /// The sandbox of `folder`, if it runs.
    pub(super) fn attach(folder: &Folder) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(folder.init_pid()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let init: i32 = text.trim().parse().context("init.pid holds no process id")?;
        // The id may belong to somebody else by now; the folder in its arguments is proof enough.
        let arguments = fs::read(format!("/proc/{init}/cmdline")).unwrap_or_default();
        let ours = arguments.split(|&byte| byte == 0).any(|word| word == folder.path().as_os_str().as_encoded_bytes());
        Ok(ours.then_some(Self { init }))
    }

    /// The file of the sandbox's network namespace.
    pub(super) fn network(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.init).into()
    }

    pub(super) fn enter_network(&self) -> anyhow::Result<()> {
        let path = self.network();
        let namespace = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter the bed's network")
    }

    /// Runs a program in the sandbox to its end.
    pub(super) async fn run<S: AsRef<OsStr>>(&self, words: &[S], input: &[u8]) -> anyhow::Result<Output> {
        Output::with_input("nsenter", &self.enter(words), input).await
    }

    /// Starts a program in the sandbox that stays when this process goes.
    pub(super) async fn start<S: AsRef<OsStr>>(&self, words: &[S], log: &Path) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut detached = vec![OsString::from("setsid"), "--fork".into()];
        detached.extend(words.iter().map(|word| word.as_ref().to_owned()));
        let status = Command::new("nsenter")
            .args(self.enter(&detached))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .await
            .context("cannot run nsenter")?;
        ensure!(status.success(), "nsenter failed: {status}");
        Ok(())
    }

    fn enter<S: AsRef<OsStr>>(&self, words: &[S]) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["--target".into(), self.init.to_string().into(), "--mount".into(), "--net".into(), "--pid".into()];
        arguments.extend(["--ipc".into(), "--uts".into(), "--".into()]);
        arguments.extend(words.iter().map(|word| word.as_ref().to_owned()));
        arguments
    }
}

/// Ends the sandbox of `folder`, if it runs, and removes its cgroups.
pub(super) async fn close(folder: &Folder) -> anyhow::Result<()> {
    if let Some(sandbox) = Sandbox::attach(folder)? {
        kill(Pid::from_raw(sandbox.init), Signal::SIGKILL).context("cannot end the sandbox's init (are you root?)")?;
        until("the end of the sandbox's init", CLOSE_LIMIT, async || {
            Ok(Sandbox::attach(folder)?.is_none().then_some(()))
        })
        .await?;
    }
    if let Some(root) = cgroup_root()? {
        let cgroup = root.join(folder.cgroup());
        until("the end of the bed's processes", CLOSE_LIMIT, async || remove_cgroup(&cgroup).map(Some)).await?;
    }
    Ok(())
}

/// Where this host has mounted the unified cgroup hierarchy, if anywhere.
fn cgroup_root() -> anyhow::Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let root = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let target = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(target))
    });
    Ok(root)
}

/// Removes a cgroup from its leaves up. The kernel refuses while a process lives in one.
fn remove_cgroup(cgroup: &Path) -> anyhow::Result<()> {
    let entries = match fs::read_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(cgroup).with_context(|| format!("cannot remove {}", cgroup.display()))
}
