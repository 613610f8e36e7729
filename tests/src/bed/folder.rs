//! The folder of a bed: where each of its files is.

use std::{
    collections::VecDeque,
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::Command,
};

use super::{Machine, MachineState, Progress};

/// The folder of a bed: `$USHER_BED`, else `target/bed` of this work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Default for Folder {
    fn default() -> Self {
        match env::var_os("USHER_BED") {
            Some(path) => Self(path.into()),
            None => Self(work_tree().join("target/bed")),
        }
    }
}

impl Folder {
    /// A bed in a folder of its own. The path must be absolute: machines and scripts name it too.
    ///
    /// # Errors
    /// If it cannot be made absolute.
    pub fn at(path: &Path) -> io::Result<Self> {
        std::path::absolute(path).map(Self)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Certificates and kubeconfigs for use on this host.
    pub fn pki(&self) -> PathBuf {
        self.0.join("pki")
    }

    /// What the machine sees as `/etc/kubernetes/pki`.
    pub(super) fn machine_pki(&self, machine: &Machine) -> PathBuf {
        self.machine(machine).join("pki")
    }

    /// The kubeconfig of the cluster's administrator, through the balancer.
    pub fn kubeconfig(&self) -> PathBuf {
        self.pki().join("admin.kubeconfig")
    }

    /// The cluster file for `usher`, with commands that take control planes out of the balancer's pool and back.
    pub fn cluster_file(&self) -> PathBuf {
        self.0.join("cluster.toml")
    }

    /// The same without those commands.
    pub fn cluster_file_without_pool(&self) -> PathBuf {
        self.0.join("cluster-without-pool.toml")
    }

    /// Scripts that run `usher` and `kubectl` against this bed.
    pub fn scripts(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// Everything of one machine.
    pub(super) fn machine(&self, machine: &Machine) -> PathBuf {
        self.0.join("machines").join(machine.name)
    }

    /// The state file of a machine.
    pub(super) fn state(&self, machine: &Machine) -> PathBuf {
        self.machine(machine).join("state.json")
    }

    /// While this file exists the machine does not come back from a reboot.
    pub(super) fn refusal(&self, machine: &Machine) -> PathBuf {
        self.machine(machine).join("refuse-return")
    }

    /// The host's id of the sandbox's init.
    pub(super) fn init_pid(&self) -> PathBuf {
        self.0.join("init.pid")
    }

    /// Output of the sandbox's own processes.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.log"))
    }

    /// The cgroup of the bed below the root of the unified hierarchy: beds in different folders do not meet.
    pub(super) fn cgroup(&self) -> String {
        let name = self.0.to_string_lossy();
        // FNV-1a: all it must be is short and the same each time.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("usher-bed-{hash:016x}")
    }

    /// State of a machine, as its supervisor told it last.
    pub(super) fn read_state(&self, machine: &Machine) -> anyhow::Result<MachineState> {
        let path = self.state(machine);
        MachineState::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    pub(super) fn create(&self, settings: &Settings) -> anyhow::Result<()> {
        for machine in &super::MACHINES {
            fs::create_dir_all(self.machine_pki(machine))?;
        }
        fs::create_dir_all(self.pki())?;
        fs::create_dir_all(self.scripts())?;
        fs::write(self.0.join("settings.json"), serde_json::to_vec_pretty(settings)?)?;
        Ok(())
    }

    pub(super) fn read_settings(&self) -> anyhow::Result<Settings> {
        let path = self.0.join("settings.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // The machines' own parts stay as they are; usher is whatever is built now.
        let settings: Settings = serde_json::from_slice(&text)
            .with_context(|| format!("{} is of an older bed; end it: make bed-down", path.display()))?;
        Ok(Settings { usher: usher_folder()?, bed: bed_binary()?, ..settings })
    }

    pub(super) fn mark_complete(&self) -> io::Result<()> {
        fs::write(self.0.join("complete"), "")
    }

    pub(super) fn is_complete(&self) -> bool {
        self.0.join("complete").exists()
    }

    pub(super) fn remove(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.0.display()))
            }
            _ => Ok(()),
        }
    }
}

/// What a bed was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// Folder with etcd, Kubernetes, containerd.
    pub(super) kubernetes: PathBuf,
    /// Folder with the machines' root file systems, by releases of Debian, and the container image.
    pub(super) base: PathBuf,
    /// kwok, which plays the kubelets of a fleet. Found or built with the rest: where it runs there is no way out to fetch
    /// its modules.
    pub(super) kwok: PathBuf,
    /// Folder with `usher` and `usher-agent`.
    pub(super) usher: PathBuf,
    /// The `bed` binary, which the cluster file's commands and the supervisors are.
    pub(super) bed: PathBuf,
}

impl Settings {
    /// Finds or builds everything that a bed is made of.
    pub(super) async fn gather(say: Progress<'_>) -> anyhow::Result<Self> {
        let usher = usher_folder()?;
        for name in ["usher", "usher-agent"] {
            ensure!(
                usher.join(name).exists(),
                "{} is missing: cargo build --release first, or set USHER_BIN_DIR",
                usher.join(name).display()
            );
        }
        let base = machines_script("rootfs.sh").await?;
        say("root file systems at hand");
        let kubernetes = machines_script("binaries.sh").await?;
        say("etcd, Kubernetes and containerd at hand");
        let kwok = machines_script("kwok.sh").await?;
        say("kwok at hand");
        Ok(Self { kubernetes, base, kwok, usher, bed: bed_binary()? })
    }
}

/// Where `usher` and `usher-agent` are: `$USHER_BIN_DIR`, else the release build of this work tree.
fn usher_folder() -> io::Result<PathBuf> {
    match env::var_os("USHER_BIN_DIR") {
        Some(path) => std::path::absolute(path),
        None => Ok(work_tree().join("target/release")),
    }
}

/// Runs a script of `tests/machines`, which prints a path as its only line on stdout.
async fn machines_script(name: &str) -> anyhow::Result<PathBuf> {
    script(&work_tree().join("tests/machines").join(name)).await
}

/// Lines of a script's progress that its failure carries: a compiler's or a package manager's last words.
const LAST_LINES: usize = 20;

/// The path that a script prints. Its progress goes on to stderr, as it may take minutes; an error repeats the end of it.
async fn script(path: &Path) -> anyhow::Result<PathBuf> {
    let cannot_run = || format!("cannot run {}", path.display());
    let mut child = Command::new(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(cannot_run)?;
    let mut last = VecDeque::new();
    let progress = async {
        let Some(stderr) = child.stderr.take() else { return Ok(()) };
        let mut lines = BufReader::new(stderr).lines();
        while let Some(line) = lines.next_line().await? {
            // Where stderr is gone there is nobody to tell.
            let _ = writeln!(io::stderr(), "{line}");
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
        io::Result::Ok(())
    };
    let mut printed = String::new();
    let stdout = async {
        let Some(mut stdout) = child.stdout.take() else { return Ok(0) };
        stdout.read_to_string(&mut printed).await
    };
    tokio::try_join!(progress, stdout).with_context(cannot_run)?;
    let status = child.wait().await.with_context(cannot_run)?;
    ensure!(status.success(), "{} failed: {status}\n{}", path.display(), Vec::from(last).join("\n"));
    Ok(printed.trim().into())
}

/// The `bed` binary: this process, or the one that cargo has put near the test that this process is.
fn bed_binary() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("bed"))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("no `bed` binary beside {}: cargo build -p usher-testkit", own.display()))
}

/// The root of the repository.
pub(super) fn work_tree() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_script_that_fails_says_what_it_said_last_and_one_that_works_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let script_of = |name: &str, lines: &str| {
            let path = folder.path().join(name);
            let mut file = fs::File::options().write(true).create_new(true).mode(0o755).open(&path).unwrap();
            writeln!(file, "#!/bin/sh\n{lines}").unwrap();
            path
        };
        let works = script_of("works", "echo building >&2\necho /cache/kwok");
        assert_eq!(script(&works).await.unwrap(), Path::new("/cache/kwok"));
        let fails = script_of("fails", "seq 100 >&2\necho 'dial tcp: network is unreachable' >&2\nexit 3");
        let error = script(&fails).await.unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.ends_with("\n100\ndial tcp: network is unreachable"),
            "{error}"
        );
        assert!(!error.contains("\n80\n"), "{error}");
    }
}
