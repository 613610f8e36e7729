//! Configuration files in TOML: one reader for the cluster file and for the agent's configuration.
//!
//! A program reads its file table by table and key by key ([`Table`]). Each key says where it is read what it is: its
//! [`Kind`], its meaning, and its default. From that one place come
//!
//! - the value, checked, or every mistake of the file at once, each with file, line, key and what would be right: an unknown
//!   key is an error, never ignored, for a misspelt `gap` must not become the default gap;
//! - the [`Record`] of what was read: every key with its effective value and the line that it comes from;
//! - the file's description ([`describe`]), from which the commented example, the reference page and the JSON schema are
//!   generated.

mod kind;
mod nearest;
mod problem;
mod record;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod value;

use std::path::Path;

pub use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

pub use self::{
    kind::{
        COUNT, DURATION, Entry, FLAG, Kind, LIMIT, ListOf, PATH, PORT, POSITIVE, Scalar, Shape, TEXT, expected, number,
        text,
    },
    nearest::nearest,
    problem::{FileError, Problem},
    record::{Default, KeyRecord, Name, Place, Presence, Record, Section, dotted},
    table::{Key, Open, Others, Table},
    value::Value,
};
use self::{
    source::{Sources, merge},
    table::Reading,
};

/// What a file says, and where it says so.
#[derive(Debug)]
pub struct Contents<T> {
    /// What the program made of the file.
    pub value: T,
    /// Every key that was read.
    pub record: Record,
}

/// Reads a file with `root`. Relative paths in it are relative to its folder. `what` names the file in the error, as in
/// "the cluster file".
///
/// # Errors
///
/// If the file cannot be read, or has mistakes: then all of them.
pub fn load<T>(
    path: &Path,
    what: &'static str,
    root: impl FnOnce(&mut Table<'_>) -> T,
) -> Result<Contents<T>, FileError> {
    let text = read(path, what)?;
    parse(&text, path, folder_of(path), root)
}

/// Reads what can be read of a file that [`load`] refuses for its mistakes. `None` if it cannot be read at all, or is not TOML:
/// what a broken text seems to say is not to be relied on.
pub fn load_in_part<T>(path: &Path, root: impl FnOnce(&mut Table<'_>) -> T) -> Option<T> {
    let text = read(path, "").ok()?;
    let table = DeTable::parse(&text).ok()?.into_inner();
    Some(Reading::new(folder_of(path), false).read(Some(&table), root))
}

/// Reads a file with what several files have in common: a key that the file itself lacks is `common`'s, table by table.
///
/// # Errors
///
/// As [`load`]; the mistakes of both, each with the file that has it.
pub fn load_with<T>(
    path: &Path,
    common: &Path,
    what: &'static str,
    root: impl FnOnce(&mut Table<'_>) -> T,
) -> Result<Contents<T>, FileError> {
    let (own, inherited) = (read(path, what)?, read(common, what)?);
    let sources = Sources::of(path, &own).and(common, &inherited);
    parse_sources(&sources, folder_of(path), root)
}

#[allow(clippy::disallowed_methods)] // the one place that reads them
fn read(path: &Path, what: &'static str) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|source| FileError::Unreadable { what, path: path.to_owned(), source })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Reads a file's text. `path` is its name in mistakes, `folder` where relative paths in it begin.
///
/// # Errors
///
/// [`FileError::Invalid`], if the text has mistakes.
pub fn parse<T>(
    text: &str,
    path: &Path,
    folder: &Path,
    root: impl FnOnce(&mut Table<'_>) -> T,
) -> Result<Contents<T>, FileError> {
    parse_sources(&Sources::of(path, text), folder, root)
}

fn parse_sources<T>(
    sources: &Sources<'_>,
    folder: &Path,
    root: impl FnOnce(&mut Table<'_>) -> T,
) -> Result<Contents<T>, FileError> {
    let reading = Reading::new(folder, false);
    let mut merged = DeTable::new();
    let mut is_broken = false;
    for text in sources.texts() {
        let (table, broken) = DeTable::parse_recoverable(text);
        for error in &broken {
            let offset = error.span().map_or(0, |span| span.start);
            reading.mistake(Some(offset), String::new(), format!("not TOML: {}", error.message()));
        }
        is_broken |= !broken.is_empty();
        merge(&mut merged, table.into_inner());
    }
    // What a broken file seems to say is not worth a second complaint.
    let value = (!is_broken).then(|| reading.read(Some(&merged), root));
    let (mistakes, record) = reading.finish(sources);
    match value {
        Some(value) if mistakes.is_empty() => Ok(Contents { value, record }),
        _ => Err(FileError::Invalid {
            problems: mistakes
                .into_iter()
                .map(|mistake| {
                    let place = mistake.offset.map(|offset| sources.place(offset));
                    let (path, line) = match place {
                        Some(Place { path, line }) => (path, Some(line)),
                        None => (sources.path().to_owned(), None),
                    };
                    Problem { path, line, key: mistake.key, message: mistake.message }
                })
                .collect(),
        }),
    }
}

/// Reads an empty file: every key that has a default has it. Keys that are required go unreported.
pub fn defaults<T>(folder: &Path, root: impl FnOnce(&mut Table<'_>) -> T) -> Contents<T> {
    let reading = Reading::new(folder, false);
    let value = reading.read(None, root);
    Contents { value, record: reading.finish(&Sources::of(Path::new(""), "")).1 }
}

/// Every table and key that `root` knows, those that a site names included: each of these once, under an example's name.
pub fn describe<T>(root: impl FnOnce(&mut Table<'_>) -> T) -> Record {
    let reading = Reading::new(Path::new(""), true);
    reading.read(None, root);
    reading.finish(&Sources::of(Path::new(""), "")).1
}
