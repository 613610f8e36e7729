//! One JSON file, replaced as a whole.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::StoreError;

/// How the name of a file ends that was not finished when the power went.
pub(super) const UNFINISHED: &str = ".unfinished";

/// Reads a file, `None` if there is none.
pub(super) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, StoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|source| StoreError::Damaged { path: path.to_owned(), source })
}

/// Writes a file so that it is on disk, whole, when this returns.
pub(super) fn write<T: Serialize>(path: &Path, content: &T) -> Result<(), StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(content).map_err(damaged)?;
    text.push(b'\n');
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    replace(path, &unfinished, &text).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

fn replace(path: &Path, unfinished: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(unfinished)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    sync_folder(path)
}

/// Removes a file so that it is gone from the disk when this returns. No file is no error.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

/// A rename or a removal is on disk once the folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
