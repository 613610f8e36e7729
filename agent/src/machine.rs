//! The machine the agent runs on: what it can ask of it, and facts from files.

pub mod bus;
mod files;
pub(crate) mod journal;
mod kernel;
pub(crate) mod login;
pub(crate) mod probe;
pub(crate) mod systemd;

use std::{path::PathBuf, sync::Arc};

pub(crate) use files::Hold;

use bus::Bus;
use journal::Journal;
use login::Login;
use systemd::Systemd;

use crate::{config::Config, disk::Disk, stream::Dial};

/// Where the agent finds things that no configuration moves. Tests put other places in.
#[derive(Debug, Clone)]
pub struct Places {
    /// Reads the journal.
    pub journalctl: PathBuf,
    /// Debian's marker that an update waits for a reboot; `.pkgs` beside it names the packages.
    pub reboot_required: PathBuf,
    /// Holds `vmlinuz-*`.
    pub boot: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { journalctl: "journalctl".into(), reboot_required: "/run/reboot-required".into(), boot: "/boot".into() }
    }
}

/// Everything the agent can ask of its machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// What the agent was told.
    pub config: Config,
    /// Units and jobs.
    pub systemd: Systemd,
    /// Reboots, inhibitors, sessions.
    pub login: Login,
    /// Journals of units.
    pub journal: Journal,
    /// Its files.
    pub disk: Disk,
    /// Connections to its units.
    pub dial: Dial,
    places: Places,
}

impl Machine {
    /// The machine behind `bus`.
    pub fn new(config: Config, bus: Bus, disk: Disk, dial: Dial, places: Places) -> Self {
        let bus = Arc::new(bus);
        Self {
            systemd: Systemd::new(Arc::clone(&bus)),
            login: Login::new(bus),
            journal: Journal::new(places.journalctl.clone()),
            config,
            disk,
            dial,
            places,
        }
    }
}
