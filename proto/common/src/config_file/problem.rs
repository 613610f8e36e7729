//! What is wrong with a file.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system could not read it.
    #[error("cannot read {what} {}", path.display())]
    Unreadable {
        /// What the file is, as in "the cluster file".
        what: &'static str,
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It has mistakes: all of them, in the order of the file, one a line.
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// One for each mistake; never empty.
        problems: Vec<Problem>,
    },
}

/// One mistake in a configuration file. Displayed as `PATH:LINE: KEY: MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// The line, from 1. `None` for a key that is missing in a table that is missing.
    pub line: Option<usize>,
    /// The key with its tables, as in `defaults.gap`. Empty if the file is not TOML.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", Path::display(&self.path))?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

/// A mistake and the byte of the text at which it stands.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) offset: Option<usize>,
    pub(super) key: String,
    pub(super) message: String,
}
