//! The agent's Debian package on a machine: the packaging of the work tree around the binaries that the bed runs.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::{Bed, Output, files::File, folder::work_tree, machine};

impl Bed {
    /// Builds the agent's package with this version and puts it on a machine; returns its path there.
    ///
    /// # Errors
    /// If it cannot be built, or the machine is off.
    pub async fn put_agent_package(&self, name: &str, version: &str) -> anyhow::Result<String> {
        let built = tempfile::tempdir()?;
        let words: [&Path; 6] = [
            "--prebuilt".as_ref(),
            &self.settings.usher,
            "--output".as_ref(),
            built.path(),
            "--package-version".as_ref(),
            version.as_ref(),
        ];
        let words = words.map(Path::as_os_str);
        Output::of(work_tree().join("packaging/deb.sh"), &words).await?.success()?;
        let mut packages = std::fs::read_dir(built.path())?.collect::<Result<Vec<_>, _>>()?;
        packages.retain(|package| package.file_name().to_string_lossy().starts_with("usher-agent_"));
        ensure!(packages.len() == 1, "these packages of the agent came out: {packages:?}");
        let package = packages.pop().context("no package")?.path();
        let there = format!("/root/usher-agent_{version}.deb");
        self.put(machine(name)?, &[File::new(&there, std::fs::read(package)?)]).await?;
        Ok(there)
    }

    /// Takes the agent's package away, and installs the agent as on the other machines again.
    ///
    /// # Errors
    /// If the agent does not come up.
    pub async fn undo_agent_package(&self, name: &str) -> anyhow::Result<()> {
        // It may be gone already.
        self.shell(name, "rm -f /root/usher-agent_*.deb; dpkg --purge usher-agent").await?;
        self.install_agent(machine(name)?).await
    }
}
