//! One JSON file, read and replaced as a whole, with the version of its format.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::disk::Disk;

/// The version of the format of all files in the state directory. Files without one are of agents before there was one, and are
/// read alike.
const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    version: u32,
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    content: &'a T,
}

/// Reads a file, `None` if there is none.
pub(super) fn read<T: for<'de> Deserialize<'de>>(disk: &Disk, path: &Path) -> Result<Option<T>, StoreError> {
    let text = match disk.read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }),
    };
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    let Header { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), version });
    }
    serde_json::from_slice(&text).map(Some).map_err(damaged)
}

/// Writes a file atomically and durably, and returns its size in bytes.
pub(super) fn write<T: Serialize>(disk: &Disk, path: &Path, content: &T) -> Result<u64, StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(&Versioned { version: VERSION, content }).map_err(damaged)?;
    text.push(b'\n');
    disk.replace(path, &text).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    Ok(u64::try_from(text.len()).unwrap_or(u64::MAX))
}

/// Removes a file durably. A missing file is no error, also on a read-only disk, where removing it is.
pub(super) fn remove(disk: &Disk, path: &Path) -> Result<(), StoreError> {
    match disk.exists(path) {
        Ok(false) => Ok(()),
        _ => disk.remove(path).map_err(|source| StoreError::Io { path: path.to_owned(), source }),
    }
}
