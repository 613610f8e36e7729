//! Writing a first cluster file.

#![allow(clippy::disallowed_methods)] // the one place that writes a cluster file

use std::{fs, io, path::Path};

use crate::files::{self, AS_UMASK, Existing};

/// Writes a file whole, or not at all. One that is there is replaced only if that is wanted.
///
/// # Errors
///
/// If the file is there already, or the system cannot write it.
pub fn create(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    files::put(path, text, AS_UMASK, if replace { Existing::Replaced } else { Existing::Kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_replaced_only_if_that_is_wanted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("usher/cluster.toml");
        create(&path, "name = 'a'\n", false).unwrap();
        assert_eq!(create(&path, "name = 'b'\n", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "name = 'a'\n");
        create(&path, "name = 'b'\n", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "name = 'b'\n");
        assert_eq!(fs::read_dir(home.path().join("usher")).unwrap().count(), 1);
    }
}
