//! Files that are replaced as a whole: a reader at the same time sees the old text or the new one, never half of it.

#![allow(clippy::disallowed_methods)] // the one place that replaces files

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// As this process' umask has it.
    AsUmask,
    /// Everybody, whatever the umask: another user's program reads it.
    Everybody,
}

/// Replaces a file, or makes it. Its folder must be there.
///
/// # Errors
///
/// If the system cannot write into its folder. The file is then what it was.
pub(crate) fn replace(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    let beside = beside(path)?;
    let written = write(&beside, text, readers).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What cannot be removed was never made, or is for the administrator of a broken disk.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    // Never through a link that somebody has put there: the folder may be one that others write into.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o666).open(path)?;
    if readers == Readers::Everybody {
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.write_all(text.as_bytes())
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
        replace(&path, "one", Readers::AsUmask).unwrap();
        replace(&path, "two", Readers::Everybody).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, "text", Readers::AsUmask).is_err());
        assert!(replace(&folder.path().join("no/such/folder"), "text", Readers::AsUmask).is_err());
        assert!(replace(Path::new("/"), "text", Readers::AsUmask).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
