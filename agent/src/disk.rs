//! The file system that the agent reads and writes: the machine's own, or one in memory.
//!
//! Calls block while the machine's disk does.

#![allow(clippy::disallowed_methods)] // the one place that touches it

mod locks;
mod memory;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use tokio::task::{spawn_blocking, yield_now};

pub use memory::{DiskWitness, MemoryDisk};

/// The suffix of a file that [`Disk::replace`] has not renamed yet.
const UNFINISHED: &str = ".unfinished";

/// The highest number that what is stored can have been counted to, one by one. A higher one is damage, and would leave no room for
/// the next.
pub(crate) const HIGHEST_NUMBER: u64 = u64::MAX / 2;

/// A file system.
#[derive(Debug, Clone, Default)]
pub enum Disk {
    /// The machine's own.
    #[default]
    Machine,
    /// In memory, for tests.
    Memory(MemoryDisk),
}

impl Disk {
    /// Whether calls never block, so that they need no thread of their own.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Runs work that reads and writes files on a thread where it may block. `None` only if the runtime is shutting down. It goes on
    /// if the caller gives up waiting.
    ///
    /// In memory nothing blocks, and a second thread would make the order of events depend on the scheduler. The work then runs
    /// here, between two points where the task can be dropped: at the first one nothing is written, at the second everything is
    /// and nobody knows.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.is_memory() {
            yield_now().await;
            let done = work();
            yield_now().await;
            return Some(done);
        }
        spawn_blocking(work).await.ok()
    }

    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self {
            Self::Machine => fs::read(path),
            Self::Memory(memory) => memory.read(path),
        }
    }

    pub(crate) fn exists(&self, path: &Path) -> io::Result<bool> {
        match self {
            Self::Machine => path.try_exists(),
            Self::Memory(memory) => memory.exists(path),
        }
    }

    /// The size of a file in bytes.
    pub(crate) fn size(&self, path: &Path) -> io::Result<u64> {
        match self {
            Self::Machine => Ok(fs::metadata(path)?.len()),
            Self::Memory(memory) => memory.read(path).map(|content| u64::try_from(content.len()).unwrap_or(u64::MAX)),
        }
    }

    /// When a file was last written. Symbolic links are not followed, so that a dangling one exists too.
    pub(crate) fn modified(&self, path: &Path) -> io::Result<Option<Timestamp>> {
        match self {
            Self::Machine => {
                let metadata = fs::symlink_metadata(path)?;
                Ok(metadata.modified().ok().and_then(|time| time.try_into().ok()))
            }
            Self::Memory(memory) => memory.modified(path).map(Some),
        }
    }

    /// When a file's content or attributes last changed, through symbolic links. A package manager sets the time at which a file was
    /// written to that of its build, but cannot set this one.
    pub(crate) fn changed(&self, path: &Path) -> io::Result<Option<Timestamp>> {
        match self {
            Self::Machine => Ok(Timestamp::from_second(fs::metadata(path)?.ctime()).ok()),
            Self::Memory(memory) => memory.modified(path).map(Some),
        }
    }

    /// Whether a process holds a POSIX lock on a file. Neither the file nor the process need be readable. Where each subvolume has a
    /// device number of its own, as on btrfs, the kernel's list has another number and no lock is seen. In memory nobody holds one.
    pub(crate) fn is_locked(&self, path: &Path) -> io::Result<bool> {
        match self {
            Self::Machine => {
                let file = fs::metadata(path)?;
                Ok(locks::is_on(&fs::read_to_string(locks::LIST)?, file.dev(), file.ino()))
            }
            Self::Memory(_) => Ok(false),
        }
    }

    /// The names in a folder, unordered.
    pub(crate) fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        match self {
            Self::Machine => {
                let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
                names.collect()
            }
            Self::Memory(memory) => memory.list(folder),
        }
    }

    pub(crate) fn create_folder(&self, folder: &Path) -> io::Result<()> {
        match self {
            Self::Machine => fs::create_dir_all(folder),
            Self::Memory(memory) => memory.create_folder(folder),
        }
    }

    /// Replaces a file atomically and durably. After a loss of power it holds the old content or the new, never a part.
    pub(crate) fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        match self {
            Self::Machine => {
                let unfinished = with_suffix(path, UNFINISHED);
                write_durably(&unfinished, content).and_then(|()| fs::rename(&unfinished, path)).inspect_err(|_| {
                    // What a full disk left behind must not keep it full.
                    let _ = fs::remove_file(&unfinished);
                })?;
                sync_folder(path)
            }
            Self::Memory(memory) => memory.replace(path, content),
        }
    }

    /// Appends to a file, which is made if there is none. If `durable`, it is on the disk when this returns.
    pub(crate) fn append(&self, path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
        match self {
            Self::Machine => {
                let is_new = !path.try_exists()?;
                let mut file = File::options().append(true).create(true).open(path)?;
                file.write_all(content)?;
                if durable {
                    file.sync_data()?;
                }
                if durable && is_new { sync_folder(path) } else { Ok(()) }
            }
            Self::Memory(memory) => memory.append(path, content),
        }
    }

    /// Whether [`Disk::replace`] left this file behind when the power failed.
    pub(crate) fn is_unfinished(name: &str) -> bool {
        name.ends_with(UNFINISHED)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::Machine => fs::rename(from, to),
            Self::Memory(memory) => memory.rename(from, to),
        }
    }

    /// Removes a file durably. A missing file is no error.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = match self {
            Self::Machine => fs::remove_file(path).and_then(|()| sync_folder(path)),
            Self::Memory(memory) => memory.remove(path),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }
}

fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A rename or removal survives a loss of power once its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Appends to a path without a separator: `/run/reboot-required` and `.pkgs`.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_replacement_that_fails_says_why_leaves_the_old_content_and_nothing_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let (file, taken) = (folder.path().join("epoch.json"), folder.path().join("taken"));
        Disk::Machine.replace(&file, b"old").unwrap();
        fs::create_dir(&taken).unwrap();
        // The kernel's own disk without room: it takes an open, and no write.
        symlink("/dev/full", with_suffix(&file, UNFINISHED)).unwrap();
        let full = Disk::Machine.replace(&file, b"new").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        // All is written, and cannot have its name.
        let no_file = Disk::Machine.replace(&taken, b"new").unwrap_err();
        assert_eq!(no_file.kind(), io::ErrorKind::IsADirectory);

        assert_eq!(fs::read(&file).unwrap(), b"old");
        let mut names = Disk::Machine.list(folder.path()).unwrap();
        names.sort_unstable();
        assert_eq!(names, ["epoch.json", "taken"]);
        Disk::Machine.replace(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }
}
