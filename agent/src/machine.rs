//! The machine that the agent runs on: systemd, login1, etcd, journal, probes, and facts from files.

pub mod bus;
pub(crate) mod client;
pub(crate) mod etcd;
mod files;
pub(crate) mod journal;
mod kernel;
pub(crate) mod login;
pub(crate) mod look;
pub(crate) mod packages;
mod printable;
pub(crate) mod probe;
pub(crate) mod systemd;
mod trust;

use std::{path::PathBuf, sync::Arc};

pub(crate) use files::Hold;

use bus::{Address, Bus};
use client::Client;
use journal::Journal;
use login::Login;
use look::Looks;
use packages::Packages;
use systemd::Systemd;
use usher_common::stream::Dial;

use crate::{
    config::{Config, InForce},
    disk::Disk,
};

/// Paths on the machine that no configuration moves; tests use others.
#[derive(Debug, Clone)]
pub struct Places {
    /// The program that reads the journal.
    pub journalctl: PathBuf,
    /// Debian's marker that an update needs a reboot. The file with `.pkgs` appended names the packages.
    pub reboot_required: PathBuf,
    /// The folder of the kernels, `vmlinuz-RELEASE`.
    pub boot: PathBuf,
    /// dpkg's folder, with `status` and `info`.
    pub dpkg: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            journalctl: "journalctl".into(),
            reboot_required: "/run/reboot-required".into(),
            boot: "/boot".into(),
            dpkg: "/var/lib/dpkg".into(),
        }
    }
}

/// Everything the agent can ask of its machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// For operations; statuses have [`Machine::looks`].
    pub systemd: Systemd,
    /// For operations.
    pub login: Login,
    pub looks: Looks,
    pub journal: Journal,
    pub packages: Packages,
    pub disk: Disk,
    /// For probes and the member of etcd.
    pub client: Client,
    config: Arc<InForce>,
    places: Places,
}

impl Machine {
    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.load()
    }

    /// The machine whose systemd and login1 are at `bus`.
    pub(crate) fn new(config: Arc<InForce>, bus: Address, disk: Disk, dial: Dial, places: Places) -> Self {
        let looks = Looks::new(Bus::of_reads(bus.clone()));
        let bus = Arc::new(Bus::of_operations(bus));
        Self {
            looks,
            systemd: Systemd::new(Arc::clone(&bus)),
            login: Login::new(bus),
            journal: Journal::new(places.journalctl.clone()),
            packages: Packages::new(disk.clone(), places.dpkg.clone()),
            client: Client::new(dial, disk.clone()),
            config,
            disk,
            places,
        }
    }
}
