//! Which package a unit's program belongs to, by dpkg's own files.
//!
//! dpkg-query would load the lists of all packages, which takes more memory than the whole agent. Here they are read one by
//! one, and only when dpkg has changed something since.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, TryLockError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{task::spawn_blocking, time::timeout};

use crate::disk::Disk;

/// A page of a node's status waits no longer for it. The look goes on, and the next page has its result.
const LOOK_WITHIN: Duration = Duration::from_millis(500);

/// A package as dpkg knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Debian's, with epoch and revision.
    pub(crate) version: String,
}

/// The packages of programs. Clones share what is known.
#[derive(Debug, Clone)]
pub(crate) struct Packages {
    disk: Disk,
    /// `/var/lib/dpkg`.
    folder: PathBuf,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// When dpkg last wrote its status.
    as_of: Option<Timestamp>,
    /// None for a program that no package owns.
    owners: BTreeMap<PathBuf, Option<Package>>,
}

impl Packages {
    pub(crate) fn new(disk: Disk, folder: PathBuf) -> Self {
        Self { disk, folder, known: Arc::default() }
    }

    /// The packages of these programs. Those that no package owns are missing, and all are where there is no dpkg or the disk
    /// is slow.
    pub(crate) async fn of(&self, programs: BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Package> {
        let packages = self.clone();
        if self.disk.is_memory() {
            return packages.look(&programs);
        }
        match timeout(LOOK_WITHIN, spawn_blocking(move || packages.look(&programs))).await {
            Ok(Ok(found)) => found,
            _ => BTreeMap::new(),
        }
    }

    fn look(&self, programs: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Package> {
        let mut known = match self.known.try_lock() {
            Ok(known) => known,
            Err(TryLockError::Poisoned(known)) => known.into_inner(),
            // Another look is under way. Calls must not queue up behind a disk that hangs.
            Err(TryLockError::WouldBlock) => return BTreeMap::new(),
        };
        let as_of = self.disk.modified(&self.folder.join("status")).unwrap_or_default();
        if as_of.is_none() || as_of != known.as_of {
            *known = Known { as_of, owners: BTreeMap::new() };
        }
        let new: BTreeSet<_> = programs.iter().filter(|program| !known.owners.contains_key(*program)).collect();
        if !new.is_empty() {
            let found = self.read(&new).unwrap_or_default();
            known.owners.extend(new.into_iter().map(|program| (program.clone(), found.get(program).cloned())));
        }
        let owner = |program: &PathBuf| Some((program.clone(), known.owners.get(program)?.clone()?));
        programs.iter().filter_map(owner).collect()
    }

    fn read(&self, programs: &BTreeSet<&PathBuf>) -> io::Result<BTreeMap<PathBuf, Package>> {
        let info = self.folder.join("info");
        let mut names: BTreeMap<PathBuf, String> = BTreeMap::new();
        for file in self.disk.list(&info)? {
            let Some(name) = file.strip_suffix(".list") else { continue };
            // Packages of several architectures are listed as `libc6:amd64`.
            let name = name.split(':').next().unwrap_or(name);
            let list = self.disk.read(&info.join(&file))?;
            for line in list.split(|byte| *byte == b'\n') {
                let line = Path::new(std::str::from_utf8(line).unwrap_or_default());
                if let Some(program) = programs.iter().find(|program| is_same_file(program, line)) {
                    names.insert((*program).clone(), name.to_owned());
                }
            }
        }
        let status = self.disk.read(&self.folder.join("status"))?;
        let versions = versions(&String::from_utf8_lossy(&status), &names.values().map(String::as_str).collect());
        let package = |(program, name): (PathBuf, String)| {
            let version = versions.get(&name)?.clone();
            Some((program, Package { name, version }))
        };
        Ok(names.into_iter().filter_map(package).collect())
    }
}

/// Whether a package's list means this program. With a merged `/usr`, lists may still call `/usr/bin/x` `/bin/x`.
fn is_same_file(program: &Path, listed: &Path) -> bool {
    program == listed || matches!((program.strip_prefix("/usr"), listed.strip_prefix("/")), (Ok(a), Ok(b)) if a == b)
}

/// The versions of installed packages, from dpkg's status: stanzas of `Key: value`, a blank line between two.
fn versions(status: &str, names: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for stanza in status.split("\n\n") {
        let field = |key: &str| stanza.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        if let (Some(name), Some(version)) = (field("Package"), field("Version"))
            && names.contains(name)
        {
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::disk::MemoryDisk;

    const STATUS: &str = "Package: kubernetes-master\nStatus: install ok installed\nVersion: 1.31.4-1\n\n\
        Package: etcd-server\nStatus: install ok installed\nVersion: 3.4.23-4+b1\n";

    fn dpkg() -> MemoryDisk {
        let disk = MemoryDisk::default();
        let write = |name: &str, text: &str| disk.write(&Path::new("/dpkg").join(name), text).unwrap();
        write("status", STATUS);
        write("info/kubernetes-master.list", "/.\n/usr\n/usr/bin\n/usr/bin/kube-scheduler\n");
        write("info/etcd-server:amd64.list", "/.\n/bin/etcd\n");
        write("info/etcd-server:amd64.md5sums", "/usr/bin/other\n");
        disk
    }

    async fn of(packages: &Packages, programs: &[&str]) -> Vec<(String, String, String)> {
        let found = packages.of(programs.iter().map(PathBuf::from).collect()).await;
        found.into_iter().map(|(path, package)| (path.display().to_string(), package.name, package.version)).collect()
    }

    #[tokio::test]
    async fn a_programs_package_is_known_by_the_lists_also_by_its_name_before_usr_was_merged() {
        let packages = Packages::new(Disk::Memory(dpkg()), "/dpkg".into());
        let found =
            of(&packages, &["/usr/bin/kube-scheduler", "/usr/bin/etcd", "/usr/bin/other", "/opt/bin/etcd"]).await;
        let expected = [
            ("/usr/bin/etcd", "etcd-server", "3.4.23-4+b1"),
            ("/usr/bin/kube-scheduler", "kubernetes-master", "1.31.4-1"),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn an_upgrade_is_seen_and_a_machine_without_dpkg_has_no_packages() {
        let disk = dpkg();
        let packages = Packages::new(Disk::Memory(disk.clone()), "/dpkg".into());
        assert_eq!(of(&packages, &["/usr/bin/kube-scheduler"]).await[0].2, "1.31.4-1");
        tokio::time::sleep(Duration::from_millis(2)).await;
        disk.write(Path::new("/dpkg/status"), STATUS.replace("1.31.4-1", "1.32.0-1")).unwrap();
        assert_eq!(of(&packages, &["/usr/bin/kube-scheduler"]).await[0].2, "1.32.0-1");
        let none = Packages::new(Disk::Memory(MemoryDisk::default()), "/dpkg".into());
        assert!(of(&none, &["/usr/bin/kube-scheduler"]).await.is_empty());
    }
}
