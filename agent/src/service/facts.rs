//! What the node's files tell, read where a disk that hangs holds up nobody else.

use std::sync::Arc;

use usher_proto::v1;

use crate::machine::{Hold, Machine, systemd::Unit};

/// What the node's files tell.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Empty if it cannot be read.
    pub(super) boot_id: String,
    pub(super) kernel_running: String,
    /// Empty if there is none.
    pub(super) kernel_installed: String,
    pub(super) reboot_required: v1::RebootRequired,
    pub(super) lock_files: Vec<String>,
    pub(super) hold: Option<Hold>,
    /// Whether the file of each unit's program has changed since it started.
    pub(super) replaced: Vec<bool>,
    /// What could not be read, in sentences.
    pub(super) warnings: Vec<String>,
}

impl Facts {
    /// Reads them. `None` if the agent stops meanwhile.
    pub(super) async fn read(machine: &Arc<Machine>, units: &[Unit]) -> Option<Self> {
        let (its, units) = (Arc::clone(machine), units.to_vec());
        machine.disk.run(move || Self::read_now(&its, &units)).await
    }

    fn read_now(machine: &Machine, units: &[Unit]) -> Self {
        let locks = machine.lock_files();
        let mut warnings = locks.warnings;
        let boot_id = machine.boot_id().unwrap_or_else(|error| {
            warnings.push(format!("the boot id cannot be read: {error}"));
            String::new()
        });
        let reboot = machine.reboot_required();
        Self {
            boot_id,
            kernel_running: machine.kernel_running(),
            kernel_installed: machine.kernel_installed().unwrap_or_default(),
            reboot_required: v1::RebootRequired { required: reboot.required, packages: reboot.packages },
            lock_files: locks.present.iter().map(|path| path.display().to_string()).collect(),
            hold: machine.hold(),
            replaced: units.iter().map(|unit| machine.program_replaced(unit)).collect(),
            warnings,
        }
    }

    /// What is known while the disk does not answer: what the kernel tells, and that there may be a hold.
    pub(super) fn of_a_silent_disk(machine: &Machine, units: &[Unit]) -> Self {
        let (path, text) =
            (machine.config().hold_file.clone(), "(it cannot be read: the disk does not answer)".to_owned());
        Self {
            boot_id: machine.boot_id().unwrap_or_default(),
            kernel_running: machine.kernel_running(),
            hold: Some(Hold { path, text, since: None }),
            replaced: vec![false; units.len()],
            warnings: vec![
                "the node's disk does not answer: hold, lock files, kernels and packages are unknown".to_owned(),
            ],
            ..Self::default()
        }
    }
}
