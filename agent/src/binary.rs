//! The binary that this process executes, and the one that an upgrade has put in its place.
//!
//! A package manager renames a new file over the old one. The process goes on with the old one, which has no name any more.

mod trial;

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

/// The link to what this process executes. It also leads to a file that has no name any more.
const RUNNING: &str = "/proc/self/exe";

/// What the kernel appends to the name of a file that has none any more.
const DELETED: &str = " (deleted)";

/// Which file it is, whatever it is called. A number is not used again while a process executes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// A file with this number.
    #[cfg(test)]
    pub(crate) fn numbered(inode: u64) -> Self {
        Self { device: 1, inode }
    }

    fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|file| Self { device: file.dev(), inode: file.ino() })
    }
}

/// What is at the place of the binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// What the process executes.
    Own,
    /// Another file.
    Other(Identity),
    /// Nothing that can be looked at, and why.
    Nothing(String),
}

/// What is known of what has taken the place of the binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replacement {
    /// When that was noticed.
    pub(crate) noticed_at: Timestamp,
    /// What the other binary calls itself; empty if it does not say.
    pub(crate) version: String,
    /// Why it cannot be executed, in a sentence.
    pub(crate) problem: Option<String>,
}

/// The replacement, `None` while there is none. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replaced(Arc<ArcSwapOption<Replacement>>);

impl Replaced {
    pub(crate) fn now(&self) -> Option<Arc<Replacement>> {
        self.0.load_full()
    }

    pub(crate) fn set(&self, replacement: Option<Replacement>) {
        self.0.store(replacement.map(Arc::new));
    }

    /// What is wrong with the replacement, in a sentence.
    pub(crate) fn warning(&self) -> Option<String> {
        let replacement = self.now()?;
        let version = &replacement.version;
        let named = if version.is_empty() { String::new() } else { format!(" ({version})") };
        replacement.problem.as_ref().map(|problem| {
            format!("the agent goes on with its old binary, for the one that is installed now{named} would not start: {problem}")
        })
    }
}

/// The binary of an agent.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
    runs: Identity,
}

impl Binary {
    /// What this process executes, at the place where it was started.
    ///
    /// # Errors
    ///
    /// If the kernel does not say, as without `/proc`.
    pub fn of_this_process() -> io::Result<Self> {
        let path = place(env::args_os().next(), env::current_exe()?);
        Ok(Self { path, runs: Identity::of(Path::new(RUNNING))? })
    }

    /// An agent whose binary is the file that is at `path` now. For tests: the agent runs in a process of another program.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), runs: Identity::of(path)? })
    }

    /// A command that executes what is at its place now.
    pub fn command(&self) -> Command {
        #[allow(clippy::disallowed_methods)] // executed in place of this process: nothing waits for it
        Command::new(&self.path)
    }

    /// What is at its place now. Blocks while the disk does.
    pub(crate) fn found(&self) -> Found {
        match Identity::of(&self.path) {
            Ok(found) if found == self.runs => Found::Own,
            Ok(found) => Found::Other(found),
            Err(error) => Found::Nothing(format!("{}: {error}", self.path.display())),
        }
    }

    /// Whether what is at its place now would start with this configuration: its version, and else why not.
    pub(crate) async fn try_out(&self, config: &Path) -> (String, Result<(), String>) {
        trial::run(&self.path, config).await
    }
}

/// The place of the binary: as it was called, if that is a place. A link there may lead to another file later.
fn place(called: Option<OsString>, executed: PathBuf) -> PathBuf {
    let called = called.map(PathBuf::from).filter(|called| called.is_absolute());
    called.unwrap_or_else(|| match executed.to_str().and_then(|path| path.strip_suffix(DELETED)) {
        Some(path) => PathBuf::from(path),
        None => executed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_is_where_it_was_called_even_if_it_was_replaced_before_it_could_look() {
        let executed = || PathBuf::from("/usr/sbin/usher-agent (deleted)");
        for (called, place_of_it) in [
            (Some("/sbin/usher-agent"), "/sbin/usher-agent"),
            (Some("usher-agent"), "/usr/sbin/usher-agent"),
            (None, "/usr/sbin/usher-agent"),
        ] {
            assert_eq!(place(called.map(OsString::from), executed()), Path::new(place_of_it));
        }
        assert_eq!(place(None, "/opt/usher-agent".into()), Path::new("/opt/usher-agent"));
    }

    #[test]
    fn a_file_renamed_over_the_binary_is_found_and_so_are_its_absence_and_its_return() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new, old) = (folder.path().join("agent"), folder.path().join("new"), folder.path().join("old"));
        #[allow(clippy::disallowed_methods)] // what a package manager does
        let (write, rename) = (fs::write::<&Path, &str>, fs::rename::<&Path, &Path>);
        write(&path, "same").unwrap();
        let binary = Binary::at(&path).unwrap();
        assert_eq!(binary.found(), Found::Own);
        // As dpkg does: the old one keeps a name until the package is unpacked.
        fs::hard_link(&path, &old).unwrap();
        write(&new, "same").unwrap();
        rename(&new, &path).unwrap();
        assert!(matches!(binary.found(), Found::Other(_)), "another file with the same text");
        rename(&old, &path).unwrap();
        assert_eq!(binary.found(), Found::Own, "dpkg has taken it back");
        fs::remove_file(&path).unwrap();
        assert!(matches!(binary.found(), Found::Nothing(why) if why.contains("No such file")));
    }
}
