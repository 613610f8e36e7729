//! The programs that are shipped, as they were built.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// Where `usher` and `usher-agent` are.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those in `USHER_BIN_DIR`, else the release build beside this program's own.
    ///
    /// # Errors
    /// If one is missing.
    pub fn find() -> anyhow::Result<Self> {
        let folder = match env::var_os("USHER_BIN_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => {
                let own = env::current_exe().context("find out where this program is")?;
                let target = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
                target.context("this program is in no target folder of cargo; set USHER_BIN_DIR")?.join("release")
            }
        };
        Self::built_in(folder)
    }

    /// Those in a folder.
    ///
    /// # Errors
    /// If one is missing.
    pub fn built_in(folder: PathBuf) -> anyhow::Result<Self> {
        let programs = Self { folder };
        for program in [programs.usher(), programs.agent()] {
            if !program.is_file() {
                bail!("there is no {}: run `make build` first, or set USHER_BIN_DIR", program.display());
            }
        }
        Ok(programs)
    }

    /// The coordinator.
    pub fn usher(&self) -> PathBuf {
        self.folder.join("usher")
    }

    /// The agent.
    pub fn agent(&self) -> PathBuf {
        self.folder.join("usher-agent")
    }

    /// Their folder, for a PATH.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A command that ends with its starter: when it is dropped, and when this process is killed.
///
/// The kernel's part of that must be asked for between fork and exec, which is unsafe code here; setpriv, of util-linux,
/// does it. The kernel looks at the thread that starts the command, and tokio's live as long as its runtime.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).kill_on_drop(true);
    command
}
