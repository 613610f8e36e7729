//! Which site this user works with, until told otherwise: one line in `cluster` in the user's folder.

#![allow(clippy::disallowed_methods)] // the one place that remembers something for a user

use std::{fs, io, path::PathBuf};

use super::places::user_folder;
use crate::files::{self, AS_UMASK, Existing};

/// The file.
#[derive(Debug)]
pub struct Remembered {
    path: PathBuf,
}

impl Remembered {
    /// This user's file, whether it exists or not; None if the user has no home.
    pub fn of_this_user() -> Option<Self> {
        Some(Self { path: user_folder()?.join("cluster") })
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The site's name, if one is remembered.
    pub fn read(&self) -> Option<String> {
        let text = fs::read_to_string(&self.path).ok()?;
        text.lines().next().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// Remembers a site. A reader at the same time sees the old name or the new one.
    ///
    /// # Errors
    ///
    /// If the system cannot write the file.
    pub fn write(&self, name: &str) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        files::put(&self.path, &format!("{name}\n"), AS_UMASK, Existing::Replaced)
    }

    /// Forgets it.
    ///
    /// # Errors
    ///
    /// If the system cannot remove the file.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_is_read_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let remembered = Remembered { path: folder.path().join("usher/cluster") };
        assert_eq!(remembered.read(), None);
        remembered.write("codfw").unwrap();
        remembered.write("eqiad").unwrap();
        assert_eq!(remembered.read().as_deref(), Some("eqiad"));
        remembered.forget().unwrap();
        remembered.forget().unwrap();
        assert_eq!(remembered.read(), None);
        let left: Vec<_> = fs::read_dir(folder.path().join("usher")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
