//! Files that are put into place as a whole: a reader at the same time sees the old text or the new one, never half of it.

#![allow(clippy::disallowed_methods)] // the one place that puts files into place

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// For files that only this process' umask restricts.
pub(crate) const AS_UMASK: Mode = Mode::LessUmask(0o666);

/// Who may read and write a file, as of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// These bits, without those that this process' umask takes away.
    LessUmask(u32),
    /// These bits, whatever the umask: another user's program reads it.
    Exactly(u32),
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Replaced,
    /// It stays, and the new one is an error: [`io::ErrorKind::AlreadyExists`].
    Kept,
}

/// Puts a file into place, on the disk too. Its folder must be there.
///
/// # Errors
///
/// If the system cannot write into its folder, or the file exists and is kept. The file is then what it was.
pub(crate) fn put(path: &Path, text: &str, mode: Mode, existing: Existing) -> io::Result<()> {
    let beside = beside(path)?;
    let placed = write(&beside, text, mode).and_then(|()| match existing {
        Existing::Replaced => fs::rename(&beside, path),
        // A link fails where a file is, also one that came a moment ago.
        Existing::Kept => fs::hard_link(&beside, path).and_then(|()| fs::remove_file(&beside)),
    });
    if placed.is_err() {
        // What cannot be removed was never made, or is for the administrator of a broken disk.
        let _ = fs::remove_file(&beside);
    }
    placed?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str, mode: Mode) -> io::Result<()> {
    let (Mode::LessUmask(bits) | Mode::Exactly(bits)) = mode;
    // Never through a link that somebody has put there: the folder may be one that others write into.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(bits).open(path)?;
    if mode == Mode::Exactly(bits) {
        file.set_permissions(fs::Permissions::from_mode(bits))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name in the same folder, which no other process takes.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.{:06x}.new", std::process::id(), fastrand::u32(..0x100_0000)));
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usher.prom");
        put(&path, "one", AS_UMASK, Existing::Replaced).unwrap();
        put(&path, "two", Mode::Exactly(0o644), Existing::Replaced).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let put = |path: &Path| put(path, "text", AS_UMASK, Existing::Replaced);
        assert!(put(&path).is_err());
        assert!(put(&folder.path().join("no/such/folder")).is_err());
        assert!(put(Path::new("/")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_kept_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.toml");
        put(&path, "one", AS_UMASK, Existing::Kept).unwrap();
        let error = put(&path, "two", AS_UMASK, Existing::Kept).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
