//! The real bed: five systemd-nspawn machines in one sandbox of this host, with a real Kubernetes cluster on them.
//!
//! Three control planes (etcd, kube-apiserver, kube-controller-manager, kube-scheduler as systemd units; each apiserver knows all
//! three members of etcd, which trust each other and their clients by certificates alone), two workers
//! (kubelet, containerd, runc, CNI, running containers; w1 on Debian 12, w2 on Debian 13) and a balancer that never
//! retries. The agent is installed on all five as it is shipped. Everything lives in one set of namespaces whose init takes
//! the whole bed with it when it ends.
//!
//! A bed is reused: [`Bed::shared`] attaches to the one that runs and starts one otherwise. [`Bed::restore`] mends what a
//! test has left behind and waits until the cluster is whole again.
//!
//! Getting hold of a bed moves the caller into its network: the thread, the threads it starts and the programs it runs from
//! then on. So a bed belongs on a runtime of one thread.

mod agents;
mod audit;
mod balancer;
mod certificates;
mod cluster;
mod disk;
mod etcd;
mod faults;
mod files;
mod fleet;
mod folder;
mod health;
mod init;
mod machine;
mod measured;
mod namespaces;
mod nspawn;
mod output;
mod package;
mod prober;
mod puppet;
mod requirements;
mod state;
mod supervisor;
mod template;
mod tls;
mod wait;

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;

pub use self::{
    audit::Requests,
    balancer::Rotation,
    certificates::{Client, Generation},
    cluster::is_ready,
    faults::Link,
    fleet::{Fleet, Pool, Workload},
    folder::Folder,
    init::run as run_init,
    machine::{CONTROL_PLANES, MACHINES, Machine, Role, WORKERS, machine},
    measured::{CpuTimes, Measured, Tool},
    output::Output,
    prober::{Prober, Probes},
    state::{MachineState, Power},
    supervisor::run as run_supervisor,
    wait::{POLL, until},
};
use self::{folder::Settings, namespaces::Sandbox};

/// The address of the sandbox on the bridge: the balancer listens here, and `usher` calls from here.
pub const SANDBOX_ADDRESS: &str = "10.77.0.1";

/// A bed that runs.
#[derive(Debug, Clone)]
pub struct Bed {
    folder: Folder,
    settings: Arc<Settings>,
    sandbox: Sandbox,
}

/// Takes each line of progress; the `bed` binary prints it with the time.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

impl Bed {
    /// Attaches to the bed in the default folder, or starts one there (minutes the first time ever, else about a minute).
    ///
    /// # Errors
    /// What is missing on this host, or which machine or service did not come up and where its log is.
    pub async fn shared() -> anyhow::Result<Self> {
        let folder = Folder::default();
        Self::start(folder, &|_| {}).await
    }

    /// The bed that runs in `folder`, if one does, even if its start was not completed.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn attach(folder: Folder) -> anyhow::Result<Option<Self>> {
        let Some(sandbox) = Sandbox::attach(&folder)? else { return Ok(None) };
        let settings = Arc::new(folder.read_settings()?);
        sandbox.enter_network()?;
        Ok(Some(Self { folder, settings, sandbox }))
    }

    /// The bed that runs in `folder` with its agents up to date, else a new one.
    ///
    /// # Errors
    /// As for [`Bed::shared`].
    pub async fn start(folder: Folder, say: Progress<'_>) -> anyhow::Result<Self> {
        // A start that was interrupted leaves a sandbox without a finished bed in it.
        match Self::attach(folder.clone())?.filter(|bed| bed.folder.is_complete()) {
            Some(bed) => {
                say("the bed runs already");
                bed.write_site()?;
                bed.refresh_agents(say).await?;
                Ok(bed)
            }
            None => Self::up(folder, say).await,
        }
    }

    /// Starts a bed in `folder` from nothing: whatever was there before ends first.
    ///
    /// # Errors
    /// As for [`Bed::shared`].
    pub async fn up(folder: Folder, say: Progress<'_>) -> anyhow::Result<Self> {
        requirements::check()?;
        requirements::allow_inotify(say)?;
        Self::down(&folder).await?;
        let settings = Settings::gather(say).await?;
        folder.create(&settings)?;
        certificates::issue(&folder).context("cannot make the bed's certificates")?;
        let sandbox = Sandbox::open(&folder).await?;
        sandbox.enter_network()?;
        say("sandbox open: one init owns every process, mount and link of the bed");

        let bed = Self { folder, settings: Arc::new(settings), sandbox };
        bed.write_site()?;
        bed.boot_all().await?;
        say("five machines booted");
        bed.start_control_plane().await?;
        bed.start_balancer().await?;
        bed.wait_etcd().await?;
        bed.wait_api().await?;
        say("three control planes answer /readyz, and the balancer sees them");
        bed.start_workers().await?;
        bed.install_agents().await?;
        say("agents answer on all five machines");
        bed.wait_nodes().await?;
        say("both workers are Ready");
        bed.start_workload().await?;
        say("20 containers run under their budget");
        bed.settle_disks().await?;
        bed.folder.mark_complete()?;
        Ok(bed)
    }

    /// Ends the bed in `folder`, if one runs, and removes all it has left on this host.
    ///
    /// # Errors
    /// If the sandbox's init does not end or its folder cannot be removed.
    pub async fn down(folder: &Folder) -> anyhow::Result<()> {
        namespaces::close(folder).await?;
        folder.remove()
    }

    /// The folder with the bed's state, certificates, logs and wrapper scripts.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What a program of the bed's installation is called with its full path: `kubectl`, `etcdctl`, ...
    fn kubernetes_program(&self, name: &str) -> PathBuf {
        self.settings.kubernetes.join(name)
    }
}
