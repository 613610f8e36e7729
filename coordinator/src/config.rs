//! The cluster file: found, read, checked, and made into a [`Site`].
//!
//! The file is TOML. Everything in it has a default that fits a plain three-node control plane, so that an empty file, or
//! none, is a valid one. An unknown key is an error, never ignored: a misspelt `gap` must not become the default gap. All
//! mistakes are reported at once, each with file, line and key.

mod assemble;
mod balancer;
mod components;
mod nearest;
mod places;
mod reader;
mod values;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

pub use places::locate;

use crate::site::Site;

/// Why a cluster file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the cluster file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read and is wrong; all mistakes that were found, in the order of the file.
    #[error("{}", Lines(problems))]
    Invalid {
        /// One for each mistake; never empty.
        problems: Vec<Problem>,
    },
}

/// One mistake in a cluster file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key with its tables, as in `defaults.gap`. Empty if the file is not TOML.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.path.display(), self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if number == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Reads a cluster file.
///
/// Relative paths in it are relative to the file.
///
/// # Errors
///
/// If the file cannot be read, is not TOML, or says something that makes no sense.
pub fn load(path: &Path) -> Result<Site, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&text, path, folder)
}

/// The site that is assumed without a cluster file: a plain three-node control plane.
///
/// # Errors
///
/// None in practice: the defaults are valid.
pub fn defaults() -> Result<Site, ConfigError> {
    parse("", Path::new("built-in defaults"), Path::new(places::SYSTEM_FOLDER))
}

fn parse(text: &str, path: &Path, folder: &Path) -> Result<Site, ConfigError> {
    assemble::site(text, folder).map_err(|mistakes| ConfigError::Invalid {
        problems: mistakes
            .into_iter()
            .map(|mistake| Problem {
                path: path.to_owned(),
                line: line_of(text, mistake.offset),
                key: mistake.key,
                message: mistake.message,
            })
            .collect(),
    })
}

/// The line of a byte offset, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
