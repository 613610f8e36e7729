//! All sites: one file, or a folder with a file for each of several.
//!
//! In a folder every `NAME.toml` is a site, except those that begin with `_`: `_common.toml` has the keys that all sites share,
//! `_staging.toml` says how the active staging cluster is switched.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use usher_common::config_file::{self, Contents, FileError, Problem, Record};

use super::{Place, WHAT, site};
use crate::site::{Known, Site, clashes};

/// What all sites of a folder share.
const COMMON: &str = "_common.toml";

/// How the active staging cluster is switched.
const STAGING: &str = "_staging.toml";

/// Keys that are one site's own: in the common file they would be every site's.
const OF_ONE_SITE: [&str; 2] = ["name", "aliases"];

/// The sites that there are.
#[derive(Debug)]
pub struct Sites {
    /// In the order of their files' names.
    pub entries: Vec<Entry>,
    /// The folder, if they are in one.
    pub folder: Option<PathBuf>,
    /// A single file was named, so that nothing else is meant.
    pub is_one_file: bool,
}

/// One site.
#[derive(Debug)]
pub struct Entry {
    /// What is known of it, its mistakes notwithstanding.
    pub known: Known,
    pub path: PathBuf,
    /// What its file says with every key's place, or the mistakes in it.
    pub read: Result<Contents<Site>, FileError>,
}

impl Sites {
    /// Reads them. A file with mistakes keeps none of the others from being used.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, has no site although it was named, or two sites have the same name or alias.
    pub fn read(place: &Place) -> Result<Self, FileError> {
        let (file, folder, is_one_file) = match place {
            Place::Named(path) if path.is_dir() => (None, Some(path.clone()), false),
            Place::Named(path) => (Some(path.clone()), None, true),
            Place::Found { file, folder } => (file.clone(), folder.clone(), false),
            Place::Nowhere => (None, None, false),
        };
        let mut entries = Vec::new();
        if let Some(folder) = &folder {
            let common = Some(folder.join(COMMON)).filter(|path| path.exists());
            entries.extend(files(folder)?.into_iter().map(|path| Entry::of_a_folder(path, common.as_deref())));
        }
        entries.extend(file.map(|path| Entry::alone(path, folder.is_some())));
        if let (Place::Named(path), true) = (place, entries.is_empty()) {
            // An operator who names a folder means the clusters in it, not the defaults.
            return Err(wrong(path, ["there is no cluster file in this folder (NAME.toml)".to_owned()]));
        }
        let known: Vec<_> = entries.iter().map(|entry| entry.known.clone()).collect();
        let clashes = clashes(&known);
        if clashes.is_empty() {
            return Ok(Self { entries, folder, is_one_file });
        }
        Err(wrong(&folder.unwrap_or_default(), clashes))
    }

    /// What is known of each, to choose one.
    pub fn known(&self) -> Vec<Known> {
        self.entries.iter().map(|entry| entry.known.clone()).collect()
    }

    /// The file that says how the active staging cluster is switched, if there is one.
    pub fn staging_file(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(STAGING)).filter(|path| path.exists())
    }
}

/// Mistakes of a folder as a whole.
fn wrong(folder: &Path, messages: impl IntoIterator<Item = String>) -> FileError {
    let problem = |message| Problem { path: folder.to_owned(), line: None, key: String::new(), message };
    FileError::Invalid { problems: messages.into_iter().map(problem).collect() }
}

/// The files of sites in a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unreadable = |source: io::Error| FileError::Unreadable {
        what: "the folder of cluster files",
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for file in fs::read_dir(folder).map_err(unreadable)? {
        let path = file.map_err(unreadable)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".toml") && !name.starts_with(['_', '.']) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

impl Entry {
    fn of_a_folder(path: PathBuf, common: Option<&Path>) -> Self {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let reader = |root: &mut config_file::Table<'_>| site(root, name.as_deref());
        let read = match common {
            Some(common) => config_file::load_with(&path, common, WHAT, reader)
                .and_then(|contents| of_no_single_site(&contents.record, common).map(|()| contents)),
            None => config_file::load(&path, WHAT, reader),
        };
        Self::new(path, name.clone(), read)
    }

    /// `cluster.toml`. Beside a folder of others it is one of several, and needs a name.
    fn alone(path: PathBuf, is_one_of_several: bool) -> Self {
        let read = config_file::load(&path, WHAT, |root| {
            let site = site(root, None);
            if is_one_of_several && site.name.is_none() {
                root.mistake("name", "is missing: beside a folder of other sites this one needs a name of its own");
            }
            site
        });
        Self::new(path, None, read)
    }

    fn new(path: PathBuf, name: Option<String>, read: Result<Contents<Site>, FileError>) -> Self {
        let file = path.display().to_string();
        let known = match &read {
            Ok(Contents { value, .. }) => Known { name: value.name.clone(), aliases: value.aliases.clone(), file },
            Err(_) => Known { name, aliases: Vec::new(), file },
        };
        Self { known, path, read }
    }
}

/// Checks that the common file has nothing that is one site's own.
fn of_no_single_site(record: &Record, common: &Path) -> Result<(), FileError> {
    let root = record.sections.iter().filter(|section| section.path.is_empty());
    let problems: Vec<_> = root
        .flat_map(|section| &section.keys)
        .filter(|key| OF_ONE_SITE.contains(&key.name.as_str()))
        .filter_map(|key| Some((key, key.place.as_ref().filter(|place| place.path == common)?)))
        .map(|(key, place)| Problem {
            path: place.path.clone(),
            line: Some(place.line),
            key: key.name.as_str().to_owned(),
            message: "is one site's own, and this file is every site's".to_owned(),
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(FileError::Invalid { problems }) }
}

#[cfg(test)]
mod tests;
