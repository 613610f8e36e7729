//! One JSON file, read and replaced as a whole.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::disk::Disk;

/// Reads a file, `None` if there is none.
pub(super) fn read<T: for<'de> Deserialize<'de>>(disk: &Disk, path: &Path) -> Result<Option<T>, StoreError> {
    let text = match disk.read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|source| StoreError::Damaged { path: path.to_owned(), source })
}

/// Writes a file atomically and durably.
pub(super) fn write<T: Serialize>(disk: &Disk, path: &Path, content: &T) -> Result<(), StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(content).map_err(damaged)?;
    text.push(b'\n');
    disk.replace(path, &text).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

/// Removes a file durably. A missing file is no error.
pub(super) fn remove(disk: &Disk, path: &Path) -> Result<(), StoreError> {
    disk.remove(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}
