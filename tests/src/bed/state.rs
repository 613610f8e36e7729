//! What the supervisor of a machine tells everybody else: a small file, replaced as a whole at each change.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// No process, no mount: switched off, or its power was lost.
    Off,
    /// Its kernel namespaces exist, its default target is not reached yet.
    Booting,
    /// Its default target is reached.
    Running,
    /// It is on its way down.
    Stopping,
    /// It went down for a reboot and is kept from coming back.
    HeldDown,
}

/// The state of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineState {
    /// Whether it runs.
    pub power: Power,
    /// How many times it has been started, reboots counted in.
    pub boots: u32,
    /// Its PID 1 as the sandbox sees it, while it runs.
    pub leader: Option<i32>,
    /// The process that looks after it, as the sandbox sees it.
    pub supervisor: Option<i32>,
}

impl Default for MachineState {
    fn default() -> Self {
        Self { power: Power::Off, boots: 0, leader: None, supervisor: None }
    }
}

impl MachineState {
    /// Reads the file; a machine without one was never on.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, so that no reader sees half of it.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(&new, path)
    }
}
