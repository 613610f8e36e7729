//! A balancer's pool, kept in files: the site's own commands are real ones.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use usher_coordinator::site::PoolCommands;

use super::Journal;

/// Which machines are in rotation.
#[derive(Debug, Clone)]
pub struct Pool {
    folder: PathBuf,
    journal: PathBuf,
}

impl Pool {
    pub(super) fn create(folder: &Path, journal: &Journal, machines: &[&str]) -> Self {
        let folder = folder.join("pool");
        fs::create_dir(&folder).unwrap();
        for machine in machines {
            File::create(folder.join(machine)).unwrap();
        }
        Self { folder, journal: journal.path() }
    }

    /// The machines in the pool, in alphabetical order.
    pub fn members(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        let mut members: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        members.sort();
        members
    }

    /// Somebody takes a machine out.
    pub fn leaves(&self, machine: &str) {
        fs::remove_file(self.folder.join(machine)).unwrap();
    }

    /// Commands that change it and note that in the journal.
    pub fn commands(&self) -> PoolCommands {
        let member = format!("{}/{{node}}", self.folder.display());
        let shell = |script: String| Some(["sh", "-c", &script].map(str::to_owned).to_vec());
        let journal = self.journal.display();
        PoolCommands {
            depool: shell(format!("rm {member} && echo '{{node}}: depooled' >> {journal}")),
            pool: shell(format!("touch {member} && echo '{{node}}: pooled' >> {journal}")),
            check: shell(format!("test -e {member}")),
        }
    }
}
