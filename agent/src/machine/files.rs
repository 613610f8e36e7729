//! Facts about the machine that are files: the boot id, a hold, locks, a wanted reboot, kernels.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{Machine, kernel};
use crate::disk::with_suffix;

/// Where the kernel tells its release.
const KERNEL_RELEASE: &str = "/proc/sys/kernel/osrelease";

/// A hold file's text beyond this is not told.
const HOLD_LIMIT: usize = 1000;

/// A file on the node that forbids changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Its path.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) text: String,
    /// When it was written.
    pub(crate) since: Option<Timestamp>,
}

impl Hold {
    /// The first line, or that there is none.
    pub(crate) fn first_line(&self) -> &str {
        self.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given")
    }
}

/// Whether an update waits for a reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RebootRequired {
    /// Whether it does.
    pub(crate) required: bool,
    /// The packages that ask for it, each once.
    pub(crate) packages: Vec<String>,
}

/// Lock files of configuration management.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LockFiles {
    /// Those that exist.
    pub(crate) present: Vec<PathBuf>,
    /// Those that the agent may not look at, as sentences.
    pub(crate) warnings: Vec<String>,
}

impl Machine {
    /// The boot id: changes with each boot, and only then.
    ///
    /// # Errors
    ///
    /// If the kernel's file cannot be read.
    pub(crate) fn boot_id(&self) -> io::Result<String> {
        let id = self.disk.read(&self.config.boot_id_file)?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    /// The hold, if there is one. A hold file that exists but cannot be read holds all the same.
    pub(crate) fn hold(&self) -> Option<Hold> {
        let path = &self.config.hold_file;
        let since = match self.disk.modified(path) {
            Ok(since) => since,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => None,
        };
        let text = self.disk.read(path).map_or_else(
            |error| format!("(it cannot be read: {error})"),
            |text| String::from_utf8_lossy(&text).chars().take(HOLD_LIMIT).collect(),
        );
        Some(Hold { path: path.clone(), text: text.trim().to_owned(), since })
    }

    /// Lock files of configuration management that exist.
    pub(crate) fn lock_files(&self) -> LockFiles {
        let mut locks = LockFiles::default();
        for path in &self.config.lock_files {
            match self.disk.exists(path) {
                Ok(true) => locks.present.push(path.clone()),
                Ok(false) => {}
                Err(error) => locks.warnings.push(format!("whether {} exists is unknown: {error}", path.display())),
            }
        }
        locks
    }

    /// Debian's marker that an update waits for a reboot.
    pub(crate) fn reboot_required(&self) -> RebootRequired {
        let marker = &self.places.reboot_required;
        let packages = self.disk.read(&with_suffix(marker, ".pkgs")).unwrap_or_default();
        let packages = String::from_utf8_lossy(&packages);
        let mut packages: Vec<_> = packages.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        packages.sort_unstable();
        packages.dedup();
        RebootRequired {
            required: self.disk.exists(marker).unwrap_or(false),
            packages: packages.into_iter().map(str::to_owned).collect(),
        }
    }

    /// The newest kernel that is installed, if one is found. The modules say nothing of it: the unit's
    /// `ProtectKernelModules=` hides them from the agent.
    pub(crate) fn kernel_installed(&self) -> Option<String> {
        let names = self.disk.list(&self.places.boot).unwrap_or_default();
        kernel::newest(names.iter().filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned)))
    }

    /// The release of the kernel that runs.
    pub(crate) fn kernel_running(&self) -> String {
        let release = self.disk.read(Path::new(KERNEL_RELEASE)).unwrap_or_default();
        String::from_utf8_lossy(&release).trim().to_owned()
    }
}
