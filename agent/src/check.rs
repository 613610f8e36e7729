//! What `--check-config` looks at, besides the configuration itself: the files that it names, and whether the agent's user
//! can use them.
//!
//! Configuration management runs it as root, who can read everything. So the rights of the agent's user are worked out from
//! owners, groups and modes; access control lists are not looked at.

use std::{
    ffi::CString,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User, getgrouplist};
use usher_common::{chain, clock};

use crate::{
    config::{Config, Trust},
    door::tls::Credentials,
};

/// The user that the shipped unit runs the agent as.
const USER: &str = "usher-agent";

/// A user by numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: u32,
    groups: Vec<u32>,
}

impl Account {
    /// The agent's user if this process is root and has to speak for it. `None` for every other process, which tries by
    /// itself, and on a machine without that user.
    pub fn of_agent() -> Option<Self> {
        if !Uid::effective().is_root() {
            return None;
        }
        let user = User::from_name(USER).ok().flatten()?;
        let groups = getgrouplist(&CString::new(USER).ok()?, user.gid).unwrap_or_else(|_| vec![user.gid]);
        Some(Self {
            name: user.name,
            uid: user.uid.as_raw(),
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        })
    }

    /// Whether the modes give this user all of `bits` (4 read, 2 write, 1 search).
    fn may(&self, file: &Metadata, bits: u32) -> bool {
        let shift = if file.uid() == self.uid {
            6
        } else if self.groups.contains(&file.gid()) {
            3
        } else {
            0
        };
        (file.mode() >> shift) & bits == bits
    }

    /// Why this user cannot use a file in this way, if it cannot.
    fn refused(&self, path: &Path, bits: u32) -> Option<String> {
        let resolved = fs::canonicalize(path).ok()?;
        let (shown, name) = (path.display(), &self.name);
        for folder in resolved.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            if fs::metadata(folder).is_ok_and(|found| !self.may(&found, 1)) {
                return Some(format!("{name} cannot reach {shown}: it may not search the folder {}", folder.display()));
            }
        }
        let refused = fs::metadata(&resolved).is_ok_and(|found| !self.may(&found, bits));
        let verb = if bits & 2 == 0 { "read" } else { "write to" };
        refused.then(|| format!("{name} may not {verb} {shown}; give it the right by owner or group"))
    }
}

/// What is wrong with the files that a configuration names, in sentences. `account` is whose rights count in place of this
/// process's own.
pub fn files(file: &Path, config: &Config, account: Option<&Account>) -> Vec<String> {
    let mut problems = Vec::new();
    match Credentials::load(&config.tls) {
        Err(error) => problems.push(chain(&error)),
        Ok(credentials) => problems.extend(
            credentials
                .unfit(&config.tls, &config.node, clock::now())
                .map(|unfit| format!("callers would not accept {}: {unfit}", config.tls.certificate.display())),
        ),
    }
    let probed = probe_files(config);
    for (unit, path) in &probed {
        if let Err(error) = fs::metadata(path) {
            problems.push(format!("the probe of {unit} needs {}: {error}", path.display()));
        }
    }
    let etcd = etcd_files(config);
    for path in &etcd {
        if let Err(error) = fs::metadata(path) {
            problems.push(format!("[etcd] needs {}: {error}", path.display()));
        }
    }
    problems.extend(state_directory(&config.state_directory));
    let Some(account) = account else { return problems };
    let tls = &config.tls;
    let own = [file, &tls.certificate, &tls.key, &tls.client_ca];
    let read = own
        .into_iter()
        .chain(tls.client_crl.as_deref())
        .chain(probed.iter().map(|(_, path)| path.as_path()))
        .chain(etcd);
    problems.extend(read.filter_map(|path| account.refused(path, 4)));
    problems.extend(account.refused(&config.state_directory, 4 | 2 | 1));
    problems
}

/// The files that probes read, with the units that they are for.
fn probe_files(config: &Config) -> Vec<(&str, &PathBuf)> {
    let mut files = Vec::new();
    for (unit, policy) in &config.units {
        let Some(probe) = &policy.probe else { continue };
        let ca = if let Trust::Ca(ca) = &probe.trust { Some(ca) } else { None };
        let own = probe.certificate.iter().flat_map(|own| [&own.certificate, &own.key]);
        files.extend(ca.into_iter().chain(own).chain(&probe.token_file).map(|path| (unit.as_str(), path)));
    }
    files
}

/// The files with which the agent asks the node's member of etcd.
fn etcd_files(config: &Config) -> Vec<&Path> {
    let Some(etcd) = &config.etcd else { return Vec::new() };
    vec![&etcd.ca, &etcd.certificate.certificate, &etcd.certificate.key]
}

/// A state directory that is missing is no mistake: systemd makes it before the agent's first start.
fn state_directory(folder: &Path) -> Option<String> {
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => Some(format!("the state directory {} is no folder", folder.display())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_another_user_cannot_read_is_said_with_the_folder_that_keeps_it_out() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, key) = (folder.path().join("etc"), folder.path().join("etc/agent-key.pem"));
        fs::create_dir(&inner).unwrap();
        #[allow(clippy::disallowed_methods)] // the test's own file
        fs::write(&key, "").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(folder.path(), 0o755);
        let owner = fs::metadata(&key).unwrap();
        let stranger = Account { name: "usher-agent".to_owned(), uid: owner.uid() + 1, groups: vec![owner.gid() + 1] };
        let member = Account { groups: vec![owner.gid()], ..stranger.clone() };

        mode(&inner, 0o750);
        mode(&key, 0o640);
        assert_eq!(member.refused(&key, 4), None);
        let told = stranger.refused(&key, 4).unwrap();
        assert_eq!(
            told,
            format!("usher-agent cannot reach {}: it may not search the folder {}", key.display(), inner.display())
        );
        mode(&inner, 0o755);
        assert!(stranger.refused(&key, 4).unwrap().contains("may not read"));
        mode(&key, 0o644);
        assert_eq!(stranger.refused(&key, 4), None);
        assert!(stranger.refused(&inner, 7).unwrap().contains("may not write to"));
    }
}
