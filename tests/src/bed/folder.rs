//! The folder of a bed: where each of its files is.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

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
        let settings: Settings = serde_json::from_slice(&text)?;
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
    /// Folder with the machines' root file system and the container image.
    pub(super) base: PathBuf,
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
        say("root file system at hand");
        let kubernetes = machines_script("binaries.sh").await?;
        say("etcd, Kubernetes and containerd at hand");
        Ok(Self { kubernetes, base, usher, bed: bed_binary()? })
    }
}

/// Where `usher` and `usher-agent` are: `$USHER_BIN_DIR`, else the release build of this work tree.
fn usher_folder() -> io::Result<PathBuf> {
    match env::var_os("USHER_BIN_DIR") {
        Some(path) => std::path::absolute(path),
        None => Ok(work_tree().join("target/release")),
    }
}

/// Runs a script of `tests/machines` that prints a path as its last line and its progress to stderr.
pub(super) async fn machines_script(name: &str) -> anyhow::Result<PathBuf> {
    let path = work_tree().join("tests/machines").join(name);
    let output = Command::new(&path)
        .stderr(Stdio::inherit())
        .output()
        .await
        .with_context(|| format!("cannot run {}", path.display()))?;
    ensure!(output.status.success(), "{} failed: {}", path.display(), output.status);
    let printed = String::from_utf8(output.stdout)?;
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
