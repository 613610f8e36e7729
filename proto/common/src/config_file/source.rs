//! The texts that a configuration is read from: a file, and perhaps one that it shares with others.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::record::Place;

/// One text, or two that are read as one: the second begins where the first ends, so that an offset says which of them it is of.
#[derive(Debug)]
pub(super) struct Sources<'t> {
    path: &'t Path,
    text: &'t str,
    common: Option<(PathBuf, String)>,
}

impl<'t> Sources<'t> {
    pub(super) fn of(path: &'t Path, text: &'t str) -> Self {
        Self { path, text, common: None }
    }

    /// With a file whose keys apply where this one has none.
    pub(super) fn and(self, path: &Path, text: &str) -> Self {
        // Blank lines, one more than the first text has bytes: TOML has no objection, and no two places have the same offset, the
        // end of the first text included.
        let padded = "\n".repeat(self.text.len() + 1) + text;
        Self { common: Some((path.to_owned(), padded)), ..self }
    }

    /// The file itself.
    pub(super) fn path(&self) -> &Path {
        self.path
    }

    /// What is to be parsed, the file itself first.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.text).chain(self.common.as_ref().map(|(_, text)| text.as_str()))
    }

    /// The file and line of an offset.
    pub(super) fn place(&self, offset: usize) -> Place {
        match &self.common {
            Some((path, padded)) if offset > self.text.len() => {
                Place { path: path.clone(), line: line_of(padded, offset) - (self.text.len() + 1) }
            }
            _ => Place { path: self.path.to_owned(), line: line_of(self.text, offset) },
        }
    }
}

/// The line of a byte offset, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Adds what `own` lacks, table by table. A list is a value: it is replaced as a whole.
pub(super) fn merge<'i>(own: &mut DeTable<'i>, common: DeTable<'i>) {
    for (key, value) in common {
        match own.get_mut::<str>(key.get_ref()) {
            None => {
                own.insert(key, value);
            }
            Some(known) => {
                if let (DeValue::Table(known), DeValue::Table(value)) = (known.get_mut(), value.into_inner()) {
                    merge(known, value);
                }
            }
        }
    }
}
