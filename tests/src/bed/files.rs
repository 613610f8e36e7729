//! Files that are put on a machine while it runs, and commands that are run there.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, bail};

use super::{Bed, Machine, MachineState, Output, machine};

/// A file to be put on a machine, owned by root.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// Absolute path.
    path: String,
    content: Vec<u8>,
    mode: u32,
}

impl File {
    /// A file that everybody on the machine may read.
    pub(super) fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: content.into(), mode: 0o644 }
    }

    /// A systemd unit of the machine's own.
    pub(super) fn unit(name: &str, content: &str) -> Self {
        Self::new(format!("/etc/systemd/system/{name}"), content)
    }

    /// The same file with other permissions.
    pub(super) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

impl Bed {
    /// Runs a program on a machine, as root, to its end. It is no part of the machine's own services: the unit manager
    /// does not know it.
    ///
    /// # Errors
    /// If the machine is unknown or off. How the program ended is no error.
    pub async fn exec(&self, name: &str, words: &[&str]) -> anyhow::Result<Output> {
        self.exec_with_input(name, words, &[]).await
    }

    /// [`Bed::exec`] with something on the program's stdin.
    ///
    /// # Errors
    /// As for [`Bed::exec`].
    pub async fn exec_with_input(&self, name: &str, words: &[&str], input: &[u8]) -> anyhow::Result<Output> {
        let state = self.state(name)?;
        let Some(leader) = state.leader else { bail!("{name} is off ({state:?})") };
        let leader = leader.to_string();
        let enter = ["nsenter", "--target", &leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"];
        let words: Vec<_> = enter.into_iter().chain(words.iter().copied()).collect();
        let mut output = self.sandbox.run(&words, input).await?;
        output.command = format!("{name}: {}", words[enter.len()..].join(" "));
        Ok(output)
    }

    /// Runs a shell script on a machine and expects it to succeed.
    ///
    /// # Errors
    /// As for [`Bed::exec`], and if the script fails, with all that it said.
    pub async fn shell(&self, name: &str, script: &str) -> anyhow::Result<Output> {
        self.exec(name, &["sh", "-euc", script]).await?.success()
    }

    /// The journal of a unit on a machine, this boot's only, oldest line first.
    ///
    /// # Errors
    /// As for [`Bed::shell`].
    pub async fn journal(&self, name: &str, unit: &str) -> anyhow::Result<String> {
        let words = ["journalctl", "--boot", "--no-pager", "--output=short-iso-precise", "--unit", unit];
        Ok(self.exec(name, &words).await?.success()?.stdout)
    }

    /// State of a machine.
    ///
    /// # Errors
    /// If the machine is unknown.
    pub fn state(&self, name: &str) -> anyhow::Result<MachineState> {
        self.folder.read_state(machine(name)?)
    }

    /// Writes a text file on a machine, readable by all there.
    ///
    /// # Errors
    /// If the machine is off or refuses.
    pub async fn write(&self, name: &str, path: &str, text: &str) -> anyhow::Result<()> {
        self.put(machine(name)?, &[File::new(path, text)]).await
    }

    /// Puts files on a machine. Each appears as a whole or not at all.
    pub(super) async fn put(&self, machine: &Machine, files: &[File]) -> anyhow::Result<()> {
        let staging = tempfile::tempdir()?;
        let tree = staging.path().join("tree");
        for file in files {
            stage(&tree, file).with_context(|| format!("cannot stage {}", file.path))?;
        }
        let archive = staging.path().join("files.tar");
        let pack = ["--create", "--owner=0", "--group=0", "--directory"].map(AsRef::<std::ffi::OsStr>::as_ref);
        let pack: Vec<_> =
            pack.into_iter().chain([tree.as_os_str(), "--file".as_ref(), archive.as_os_str(), ".".as_ref()]).collect();
        Output::of("tar", &pack).await?.success()?;
        // Existing folders keep their permissions; existing files are replaced, not written into.
        let unpack = ["tar", "--extract", "--no-overwrite-dir", "--directory=/"];
        self.exec_with_input(machine.name, &unpack, &fs::read(&archive)?).await?.success().map(drop)
    }
}

fn stage(tree: &Path, file: &File) -> anyhow::Result<()> {
    let path = tree.join(file.path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().context("no path of a file")?)?;
    fs::write(&path, &file.content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
    Ok(())
}
