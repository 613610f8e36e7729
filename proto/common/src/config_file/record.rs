//! What was read: the tables and keys of a file, with what each is and what it says.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{kind::Shape, value::Value};

/// All tables and keys, in the order in which they were read.
#[derive(Debug)]
pub struct Record {
    /// The tables, the root first, each before those in it.
    pub sections: Vec<Section>,
}

/// One table.
#[derive(Debug)]
pub struct Section {
    /// Its name with those of the tables around it; empty for the root.
    pub path: Vec<Name>,
    /// What it is about.
    pub says: &'static str,
    /// Whether it makes a difference that the table is there.
    pub presence: Presence,
    /// The keys that are not tables.
    pub keys: Vec<KeyRecord>,
    /// More of it, as TOML, for the example and the reference.
    pub shows: Option<&'static str>,
}

/// Whether it makes a difference that a table is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// None: one that is absent reads as one that is empty.
    Assumed,
    /// What it describes exists only if the table does.
    Chosen,
}

/// A name in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// One that the program knows.
    Known(&'static str),
    /// One that the site gives.
    Given {
        name: String,
        /// What it names: `MACHINE`.
        stands_for: &'static str,
    },
}

impl Name {
    /// The name as the file has it, without quotes.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Given { name, .. } => name,
        }
    }
}

/// One key with its value.
#[derive(Debug)]
pub struct KeyRecord {
    /// Its name in the table.
    pub name: Name,
    /// The kind of its value, in words.
    pub kind: String,
    /// What its value looks like in TOML.
    pub shape: Shape,
    /// What it means.
    pub says: &'static str,
    /// What applies where it is absent.
    pub default: Default,
    /// A value that makes sense, where the default is not enough of an example.
    pub example: Option<Value>,
    /// The effective value: the file's, else the default. `None` if it has neither.
    pub value: Option<Value>,
    /// Where the value stands. `None` if no file has the key.
    pub place: Option<Place>,
}

/// A line of a file. Displayed as `PATH:LINE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the caller named it.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Path::display(&self.path), self.line)
    }
}

/// What applies where a key is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Default {
    /// This value.
    Is(Value),
    /// No value; what follows from that, in words.
    Unset(&'static str),
    /// Nothing: the file is wrong without the key.
    Required,
}

/// A path as TOML writes it: `units."a.service".probe`.
pub fn dotted<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let bare =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let quoted = |name: &str| if bare(name) { name.to_owned() } else { toml::Value::from(name).to_string() };
    names.into_iter().map(quoted).collect::<Vec<_>>().join(".")
}
