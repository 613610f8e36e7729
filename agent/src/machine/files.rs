//! Facts about the machine from files: boot id, hold, lock files, pending reboot, kernels.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};

use super::{Machine, kernel, systemd::Unit};
use crate::disk::with_suffix;

const UPTIME: &str = "/proc/uptime";
const KERNEL_RELEASE: &str = "/proc/sys/kernel/osrelease";

/// What dpkg and its front ends lock in dpkg's folder while they work: apt and dpkg the first for all of it, dpkg the second as well.
const DPKG_LOCKS: [&str; 2] = ["lock-frontend", "lock"];

/// How many characters of a hold file's text to keep.
const HOLD_LIMIT: usize = 1000;

/// A hold file: while it exists, the agent changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) since: Option<Timestamp>,
}

impl Hold {
    /// The first line that is not empty.
    pub(crate) fn first_line(&self) -> &str {
        self.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given")
    }
}

/// Debian's marker that an update needs a reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RebootRequired {
    pub(crate) required: bool,
    /// The packages that need it, sorted, without duplicates.
    pub(crate) packages: Vec<String>,
}

/// The locks of what a reboot would interrupt: configuration management, dpkg.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LockFiles {
    /// Those of configuration management that exist, and dpkg's if somebody holds it: it always exists.
    pub(crate) present: Vec<PathBuf>,
    /// Which could not be checked, in sentences.
    pub(crate) warnings: Vec<String>,
}

impl Machine {
    /// Whether the file of the unit's program has changed since the unit started.
    pub(crate) fn program_replaced(&self, unit: &Unit) -> bool {
        let changed = unit.program.as_ref().and_then(|program| self.disk.changed(program).ok().flatten());
        unit.is_active() && matches!((changed, unit.active_since), (Some(changed), Some(since)) if changed > since)
    }

    /// The boot id: it changes with each boot and only then.
    pub(crate) fn boot_id(&self) -> io::Result<String> {
        let id = self.disk.read(&self.config().boot_id_file)?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    /// The time since the kernel started, suspends included; no change of the wall clock touches it. `None` where the kernel does
    /// not tell it.
    pub(crate) fn uptime(&self) -> Option<SignedDuration> {
        let text = self.disk.read(Path::new(UPTIME)).ok()?;
        let seconds: f64 = String::from_utf8_lossy(&text).split_whitespace().next()?.parse().ok()?;
        SignedDuration::try_from_secs_f64(seconds).ok()
    }

    /// The hold, if there is one. A hold file that exists but cannot be read counts.
    pub(crate) fn hold(&self) -> Option<Hold> {
        let config = self.config();
        let path = &config.hold_file;
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

    pub(crate) fn lock_files(&self) -> LockFiles {
        let mut locks = LockFiles::default();
        let mut closed = BTreeSet::new();
        for path in &self.config().lock_files {
            match self.disk.exists(path) {
                Ok(true) => locks.present.push(path.clone()),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    closed.extend(path.parent().map(Path::to_owned));
                }
                Err(error) => locks.warnings.push(format!("whether {} exists is unknown: {error}", path.display())),
            }
        }
        for path in DPKG_LOCKS.map(|name| self.places.dpkg.join(name)) {
            match self.disk.is_locked(&path) {
                Ok(true) => {
                    locks.present.push(path);
                    break;
                }
                Ok(false) => {}
                // Not every machine has dpkg.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => locks.warnings.push(format!("whether {} is held is unknown: {error}", path.display())),
            }
        }
        // One for a folder: its files share the cause and the cure.
        locks.warnings.extend(closed.iter().map(|folder| {
            format!(
                "the agent may not see the lock_files in {}: give its unit a drop-in with SupplementaryGroups= and the \
                 folder's group, or set lock_files without them",
                folder.display()
            )
        }));
        locks
    }

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

    /// The newest installed kernel, if one is found. /lib/modules is no source for it: the unit's `ProtectKernelModules=` hides
    /// it from the agent.
    pub(crate) fn kernel_installed(&self) -> Option<String> {
        let names = self.disk.list(&self.places.boot).unwrap_or_default();
        kernel::newest(names.iter().filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned)))
    }

    pub(crate) fn kernel_running(&self) -> String {
        let release = self.disk.read(Path::new(KERNEL_RELEASE)).unwrap_or_default();
        String::from_utf8_lossy(&release).trim().to_owned()
    }
}
