//! Two sandboxes as the sites of one operator, a and b: the two staging clusters of which one is active.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::{Programs, Sandbox};

/// Two running sandboxes and the folder of their cluster files.
///
/// The file `active` of that folder names the active cluster. A switch copies `active-a` or `active-b` over it, which stands
/// for a change of a DNS record.
pub struct Pair {
    // Ends with the pair.
    _a: Sandbox,
    b: Sandbox,
    folder: TempDir,
}

impl Pair {
    /// Starts both; a is the active one. `control` is as in [`Sandbox::start`].
    ///
    /// # Errors
    /// As [`Sandbox::start`], or if a file cannot be written.
    pub async fn start(programs: &Programs, control: &Path) -> anyhow::Result<Self> {
        let (a, b) = futures::join!(Sandbox::start(programs, control), Sandbox::start(programs, control));
        let (a, b) = (a?, b?);
        let folder = tempfile::Builder::new().prefix("usher-sites-").tempdir().context("make a folder")?;
        describe(folder.path(), "a", &a)?;
        describe(folder.path(), "b", &b)?;
        let pair = Self { _a: a, b, folder };
        let active = pair.active_file();
        let active = active.display();
        let staging = format!(
            "clusters = ['a', 'b']\n[steps.record]\nsays = 'the record points to {{to_data_centre}}'\n\
             check = ['grep', '-qx', '{{to}}', '{active}']\napply = ['cp', '{active}-{{to}}', '{active}']\n\
             undo = ['cp', '{active}-{{from}}', '{active}']\n"
        );
        for (name, text) in
            [("_staging.toml", staging.as_str()), ("active", "a\n"), ("active-a", "a\n"), ("active-b", "b\n")]
        {
            fs::write(pair.folder().join(name), text).with_context(|| format!("write {name}"))?;
        }
        Ok(pair)
    }

    /// The folder of the cluster files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file that names the active cluster.
    pub fn active_file(&self) -> PathBuf {
        self.folder().join("active")
    }

    /// The sandbox that is not the active one at the start.
    pub fn b(&self) -> &Sandbox {
        &self.b
    }
}

/// Writes a site's cluster file: the sandbox's own with a name, a data centre and absolute paths.
fn describe(folder: &Path, name: &str, sandbox: &Sandbox) -> anyhow::Result<()> {
    let here = sandbox.folder().display();
    let own = fs::read_to_string(sandbox.folder().join("cluster.toml")).context("read a cluster file")?;
    let absolute = ["kubeconfig", "client.pem", "client-key.pem", "ca.pem"]
        .into_iter()
        .fold(own, |text, file| text.replace(&format!("\"{file}\""), &format!("\"{here}/{file}\"")));
    let named = absolute.replace("name = \"sandbox\"", &format!("name = \"{name}\"\ndata_centre = \"dc-{name}\""));
    fs::write(folder.join(format!("{name}.toml")), named).context("write a cluster file")
}
