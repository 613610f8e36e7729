//! The machine the agent runs on: what it can ask of it, and facts from files.

mod facts;
mod kernel;

use std::{path::PathBuf, sync::Arc};

pub use facts::{Hold, LockFiles, RebootRequired};

use crate::{bus::Bus, config::Config, disk::Disk, journal::Journal, login::Login, stream::Dial, systemd::Systemd};

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
pub struct Node {
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

impl Node {
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

/// The host name, `localhost` if the kernel has none that is text.
pub fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
}
