//! Pages that are generated: commented examples, references, schemas, man pages and completions.
//!
//! Everything that the programs know of themselves is said once, in the code. `make docs` writes these pages and `make lint`
//! fails when one of them is stale.

mod cli;
mod completions;
mod example;
mod files;
mod man;
mod page;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use usher_core::{rights, site::Site};

/// Folders in which every file is generated.
const FOLDERS: [&str; 3] = ["docs/reference", "packaging/completions", "packaging/man"];

/// A generated file.
#[derive(Debug)]
pub struct Page {
    /// Where it is, relative to the work tree.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Everything that is generated.
///
/// # Errors
///
/// If a page cannot be rendered.
pub fn pages() -> anyhow::Result<Vec<Page>> {
    let mut pages = files::pages()?;
    pages.push(Page { path: "docs/reference/cli.md".to_owned(), text: cli::page() });
    pages.push(Page { path: "docs/reference/agent-cli.md".to_owned(), text: cli::agent_page() });
    pages.push(Page { path: "docs/reference/exit-codes.md".to_owned(), text: cli::exit_codes() });
    pages.push(Page { path: "packaging/kubernetes/rbac.yaml".to_owned(), text: rights() });
    pages.extend(man::pages()?);
    pages.extend(completions::pages()?);
    Ok(pages)
}

/// The rights of every command on machines, for a group of operators.
fn rights() -> String {
    let everything = rights::of_everything(&Site::default());
    let intro = "# What usher's commands on machines ask of the Kubernetes API, for the group `usher`. Written from the table by which usher\n\
                 # checks its rights: leave out what you do not use, and `usher doctor` says what is missing. The leases are those of the\n\
                 # default components.\n";
    format!("{intro}{}", rights::manifest(&everything, "usher"))
}

/// The work tree that this program was built from.
pub fn work_tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Writes every page into the work tree, and removes what is no longer generated. Returns the paths that changed.
///
/// # Errors
///
/// If a page cannot be rendered or written.
pub fn write(tree: &Path) -> anyhow::Result<BTreeSet<String>> {
    let pages = pages()?;
    let stale = stale(tree, &pages)?;
    for page in &pages {
        let path = tree.join(&page.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        fs::write(&path, &page.text).with_context(|| format!("write {}", path.display()))?;
    }
    for path in stale.iter().filter(|path| pages.iter().all(|page| page.path != **path)) {
        fs::remove_file(tree.join(path)).with_context(|| format!("remove {path}"))?;
    }
    Ok(stale)
}

/// The paths of files that differ from what would be generated: changed, missing, or no longer generated.
///
/// # Errors
///
/// If a file cannot be read.
pub fn stale(tree: &Path, pages: &[Page]) -> anyhow::Result<BTreeSet<String>> {
    let mut stale = BTreeSet::new();
    for page in pages {
        match fs::read_to_string(tree.join(&page.path)) {
            Ok(text) if text == page.text => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context(format!("read {}", page.path));
            }
            _ => {
                stale.insert(page.path.clone());
            }
        }
    }
    for folder in FOLDERS {
        let entries = match fs::read_dir(tree.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context(format!("read {folder}")),
        };
        for entry in entries {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            if pages.iter().all(|page| page.path != path) {
                stale.insert(path);
            }
        }
    }
    Ok(stale)
}
