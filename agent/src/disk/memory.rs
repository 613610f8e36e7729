//! A file system in memory. It outlives the agents that use it, as a machine's disk does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use usher_common::clock;

/// A handle to a disk in memory. Clones are the same handle; [`MemoryDisk::attach`] makes another one to the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    files: Arc<Mutex<Files>>,
    detached: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Files {
    folders: BTreeSet<PathBuf>,
    content: BTreeMap<PathBuf, (Vec<u8>, Timestamp)>,
    read_only: bool,
    /// Folders into which nobody may look.
    closed: BTreeSet<PathBuf>,
    witness: Option<Witness>,
}

/// Hears of each change of a file, before and after it. Clones are the same.
#[derive(Clone)]
struct Witness(Arc<dyn DiskWitness>);

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

/// Sees what is written to a [`MemoryDisk`]: a test ends a process at such a moment, or plays a disk that lies.
pub trait DiskWitness: Send + Sync {
    /// A file is about to be replaced, or removed if there is no content. False if the disk is to say that this is done and to do
    /// nothing, like one that loses its cache.
    fn before(&self, path: &Path, content: Option<&[u8]>) -> bool;

    /// The change is on the disk.
    fn after(&self, path: &Path);
}

impl MemoryDisk {
    /// Another handle to the same disk, for the next process. It works even after this one was detached.
    #[must_use]
    pub fn attach(&self) -> Self {
        Self { files: Arc::clone(&self.files), detached: Arc::default() }
    }

    /// Makes every call through this handle and its clones fail from now on, as if their process had been killed.
    pub fn detach(&self) {
        self.detached.store(true, Ordering::Relaxed);
    }

    /// Makes the disk read-only, for all its handles, as a kernel does after an error of the device; or makes it writable again.
    pub fn set_read_only(&self, read_only: bool) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).read_only = read_only;
    }

    /// Lets nobody look at a folder's files any more, as its mode does for a user without rights.
    pub fn close_folder(&self, folder: &Path) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).closed.insert(folder.to_owned());
    }

    /// Lets a witness see what is written from now on, through all handles that are not detached.
    pub fn set_witness(&self, witness: Arc<dyn DiskWitness>) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).witness = Some(Witness(witness));
    }

    /// All files with their content, by path.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.content.iter().map(|(path, (content, _))| (path.clone(), content.clone())).collect()
    }

    /// The content of a file.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.file(path, |(content, _)| content.clone())
    }

    /// Writes a file and creates its folder if needed.
    ///
    /// # Errors
    ///
    /// If the handle is detached or the disk is read-only.
    pub fn write(&self, path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
        self.create_folder(path.parent().unwrap_or(path))?;
        self.replace(path, content.as_ref())
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such file, `ReadOnlyFilesystem` if the disk is read-only.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.witnessed(path, None, || self.writable()?.content.remove(path).map(|_| ()).ok_or_else(not_found))
    }

    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.files()?.reachable(path)?.content.contains_key(path))
    }

    pub(super) fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        self.file(path, |(_, at)| *at)
    }

    pub(super) fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let files = self.files()?;
        if !files.folders.contains(folder) {
            return Err(not_found());
        }
        let names =
            files.content.keys().filter(|path| path.parent() == Some(folder)).filter_map(|path| path.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    pub(super) fn create_folder(&self, folder: &Path) -> io::Result<()> {
        // As with `mkdir -p`, a folder that exists is no error on a read-only disk.
        if !self.files()?.folders.contains(folder) {
            self.writable()?.folders.extend(folder.ancestors().map(Path::to_owned));
        }
        Ok(())
    }

    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.witnessed(path, Some(content), || {
            let mut files = self.writable()?;
            if path.parent().is_some_and(|folder| !files.folders.contains(folder)) {
                return Err(not_found());
            }
            files.content.insert(path.to_owned(), (content.to_owned(), clock::now()));
            Ok(())
        })
    }

    /// Makes a change, and tells the witness before and after it. Its process may end at either moment.
    fn witnessed(
        &self,
        path: &Path,
        content: Option<&[u8]>,
        change: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(Witness(witness)) = self.files()?.witness.clone() else { return change() };
        if witness.before(path, content) {
            change()?;
            witness.after(path);
        }
        // What was killed by now hears nothing of it.
        self.files().map(drop)
    }

    pub(super) fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let before = self.read(path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(error),
        });
        self.replace(path, &[&before?, content].concat())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.writable()?;
        let file = files.content.remove(from).ok_or_else(not_found)?;
        files.content.insert(to.to_owned(), file);
        Ok(())
    }

    fn file<T>(&self, path: &Path, get: impl FnOnce(&(Vec<u8>, Timestamp)) -> T) -> io::Result<T> {
        self.files()?.reachable(path)?.content.get(path).map(get).ok_or_else(not_found)
    }

    fn writable(&self) -> io::Result<MutexGuard<'_, Files>> {
        let files = self.files()?;
        // A kernel says so of a missing file too.
        if files.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(files) }
    }

    fn files(&self) -> io::Result<MutexGuard<'_, Files>> {
        if self.detached.load(Ordering::Relaxed) {
            return Err(io::Error::other("the process was killed"));
        }
        Ok(self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Files {
    fn reachable(&self, path: &Path) -> io::Result<&Self> {
        let closed = path.ancestors().skip(1).any(|folder| self.closed.contains(folder));
        if closed { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(self) }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}
