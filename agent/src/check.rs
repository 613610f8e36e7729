//! What `--check-config` looks at, besides the configuration itself: the files that it names, and whether the agent's user
//! can use them.
//!
//! Configuration management runs it as root, who can read everything. So the rights of the agent's user are worked out from
//! owners, groups and modes; access control lists are not looked at.

use std::{
    collections::BTreeSet,
    ffi::CString,
    fs::{self, Metadata},
    io, iter,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use nix::unistd::{Uid, User, getgrouplist};
use usher_common::clock;

use crate::{
    arguments::Check,
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
    fn refused(&self, path: &Path, bits: u32) -> Option<Refused> {
        let resolved = fs::canonicalize(path).ok()?;
        let (shown, name) = (path.display(), &self.name);
        let refuses = |path: &Path, bits| fs::metadata(path).is_ok_and(|found| !self.may(&found, bits));
        let folders: Vec<_> = resolved.ancestors().skip(1).collect();
        let (by, what) = match folders.into_iter().rev().find(|folder| refuses(folder, 1)) {
            Some(folder) => {
                (folder, format!("cannot reach {shown}: it may not search the folder {}", folder.display()))
            }
            None if !refuses(&resolved, bits) => return None,
            None => (&*resolved, format!("may not {} {shown}", if bits & 2 == 0 { "read" } else { "write to" })),
        };
        Some(Refused { by: by.to_owned(), sentence: format!("{name} {what}; give it the right by owner or group") })
    }
}

/// Why a user cannot use a file.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    /// The file, or a folder on the way to it.
    by: PathBuf,
    sentence: String,
}

/// Checks a configuration and, with [`Check::Files`], the files that it names. `account` is whose rights count in place of this
/// process's own.
///
/// # Errors
///
/// Everything that is wrong, a line each.
pub fn check(file: &Path, what: Check, account: Option<&Account>) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    let problems = if what == Check::Files { problems(file, &config, account) } else { Vec::new() };
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// What is wrong with the files that a configuration names, in sentences.
fn problems(file: &Path, config: &Config, account: Option<&Account>) -> Vec<String> {
    let tls = &config.tls;
    let own = named("[tls]", [&tls.certificate, &tls.key]);
    let callers = named("[tls]", [Some(&tls.client_ca), tls.client_crl.as_ref()].into_iter().flatten());
    let mut others = [probe_files(config), etcd_files(config)].concat();
    // Several probes go by one CA.
    let mut known: BTreeSet<_> = own.iter().chain(&callers).map(|named| named.path).collect();
    others.retain(|named| known.insert(named.path));

    let mut problems = missing_or(&own, || Credentials::own_problem(tls, &config.node, clock::now()));
    problems.extend(missing_or(&callers, || Credentials::callers_problem(tls)));
    problems.extend(missing_or(&others, || None));
    problems.extend(state_directory(&config.state_directory));
    let Some(account) = account else { return problems };
    let read = own.iter().chain(&callers).chain(&others).map(|named| (named.path, 4));
    let used = iter::once((file, 4)).chain(read).chain([(config.state_directory.as_path(), 4 | 2 | 1)]);
    // One folder may be in the way to all of them.
    let mut told = BTreeSet::new();
    let refused = used.filter_map(|(path, bits)| account.refused(path, bits));
    problems.extend(refused.filter(|refused| told.insert(refused.by.clone())).map(|refused| refused.sentence));
    problems
}

/// A file that the configuration names.
#[derive(Debug, Clone)]
struct Named<'a> {
    /// What it is for.
    by: String,
    path: &'a Path,
}

fn named<'a>(by: &str, paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<Named<'a>> {
    paths.into_iter().map(|path| Named { by: by.to_owned(), path }).collect()
}

/// Which of the files cannot be found; if none, what else is wrong with them.
fn missing_or(files: &[Named<'_>], problem: impl FnOnce() -> Option<String>) -> Vec<String> {
    let missing = files.iter().filter_map(|Named { by, path }| {
        let error = fs::metadata(path).err()?;
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "; put it there, or name another file",
            _ => "",
        };
        Some(format!("{by} needs {}: {error}{advice}", path.display()))
    });
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() { problem().into_iter().collect() } else { missing }
}

/// The files that probes read.
fn probe_files(config: &Config) -> Vec<Named<'_>> {
    let mut files = Vec::new();
    for (unit, policy) in &config.units {
        let Some(probe) = &policy.probe else { continue };
        let ca = if let Trust::Ca(ca) = &probe.trust { Some(ca) } else { None };
        let own = probe.certificate.iter().flat_map(|own| [&own.certificate, &own.key]);
        files.extend(named(&format!("the probe of {unit}"), ca.into_iter().chain(own).chain(&probe.token_file)));
    }
    files
}

/// The files with which the agent asks the node's member of etcd.
fn etcd_files(config: &Config) -> Vec<Named<'_>> {
    let etcd = config.etcd.iter().flat_map(|etcd| [&etcd.ca, &etcd.certificate.certificate, &etcd.certificate.key]);
    named("[etcd]", etcd)
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
        let told = |account: &Account, path, bits| account.refused(path, bits).map(|refused| refused.sentence);
        assert_eq!(told(&member, &key, 4), None);
        let expected = format!(
            "usher-agent cannot reach {}: it may not search the folder {}; give it the right by owner or group",
            key.display(),
            inner.display()
        );
        assert_eq!(told(&stranger, &key, 4), Some(expected));
        mode(&inner, 0o755);
        assert!(told(&stranger, &key, 4).unwrap().contains("may not read"));
        mode(&key, 0o644);
        assert_eq!(told(&stranger, &key, 4), None);
        assert!(told(&stranger, &inner, 7).unwrap().contains("may not write to"));
    }

    #[test]
    fn a_folder_that_is_in_the_way_to_many_files_and_a_file_that_many_probes_read_are_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, ca) = (folder.path().join("etc"), folder.path().join("ca.pem"));
        fs::create_dir(&inner).unwrap();
        let (file, shown) = (inner.join("agent.toml"), ca.display());
        let probe = format!("{{ url = 'https://127.0.0.1/', ca = '{shown}', token_file = 'token' }}");
        let text = format!(
            "state_directory = 'state'\n[tls]\ncertificate = 'a.pem'\nkey = 'k.pem'\nclient_ca = 'c.pem'\n\
             [units]\n'a.service'.probe = {probe}\n'b.service'.probe = {probe}\n"
        );
        let empty = ["a.pem", "k.pem", "c.pem", "token"].map(|name| (inner.join(name), ""));
        #[allow(clippy::disallowed_methods)] // the test's own files
        for (path, content) in empty.iter().chain(&[(file.clone(), text.as_str()), (ca.clone(), "")]) {
            fs::write(path, content).unwrap();
        }
        for (path, mode) in [(folder.path(), 0o755), (&inner, 0o700), (&ca, 0o600)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let owner = fs::metadata(&file).unwrap();
        let account = Account { name: "usher-agent".to_owned(), uid: owner.uid() + 1, groups: vec![owner.gid() + 1] };

        let told = check(&file, Check::Files, Some(&account)).unwrap_err().to_string();
        let told: Vec<_> = told.lines().filter(|line| line.starts_with("usher-agent ")).collect();
        let advice = "give it the right by owner or group";
        let inner = format!(
            "usher-agent cannot reach {}: it may not search the folder {}; {advice}",
            file.display(),
            inner.display()
        );
        assert_eq!(told, [inner, format!("usher-agent may not read {shown}; {advice}")]);
    }
}
