//! Puppet on a machine: the module of the work tree, applied as its own user would.

use super::{Bed, Output, files::File, folder::work_tree, machine};

/// Where a machine has the module.
const MODULES: &str = "/root/puppet";
const MANIFEST: &str = "/root/puppet.pp";

impl Bed {
    /// Puts the module of the work tree on a machine.
    ///
    /// # Errors
    /// If the machine is off.
    pub async fn put_puppet_module(&self, name: &str) -> anyhow::Result<()> {
        let modules = work_tree().join("packaging/puppet");
        let archive = tempfile::NamedTempFile::new()?;
        let pack =
            ["--create", "--owner=0", "--group=0", "--exclude=spec", "--file"].map(AsRef::<std::ffi::OsStr>::as_ref);
        let pack: Vec<_> = pack
            .into_iter()
            .chain([archive.path().as_os_str(), "--directory".as_ref(), modules.as_os_str(), "usher".as_ref()])
            .collect();
        Output::of("tar", &pack).await?.success()?;
        self.shell(name, &format!("rm -rf {MODULES} && mkdir {MODULES}")).await?;
        let unpack = ["tar", "--extract", "--directory", MODULES];
        self.exec_with_input(name, &unpack, &std::fs::read(archive.path())?).await?.success().map(drop)
    }

    /// Applies a manifest on a machine that has the module, by the real Puppet of Debian. Its exit code: 0 nothing to change, 2
    /// changed, 4 failed, 6 changed and failed.
    ///
    /// # Errors
    /// If the machine is off. How Puppet ended is no error.
    pub async fn puppet_apply(&self, name: &str, manifest: &str) -> anyhow::Result<Output> {
        self.put(machine(name)?, &[File::new(MANIFEST, manifest)]).await?;
        let words = ["puppet", "apply", "--detailed-exitcodes", "--color=false", "--modulepath", MODULES, MANIFEST];
        self.exec(name, &words).await
    }

    /// Takes away what the module has written beside the files of the bed's own installation, and installs these again.
    ///
    /// # Errors
    /// If the agent does not come up.
    pub async fn undo_puppet(&self, name: &str) -> anyhow::Result<()> {
        self.shell(name, &format!("rm -rf {MODULES} {MANIFEST} /etc/usher/callers-ca.pem")).await?;
        self.install_agent(machine(name)?).await
    }
}
