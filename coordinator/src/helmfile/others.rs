//! What others do on this host, as `/proc` has it. Other hosts are not seen.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use nix::unistd::{Uid, User};
use usher_core::{
    helmfile::{Concern, Process, concern},
    text,
};

use crate::problem::Problem;

/// As much of a command line as is told.
const TOLD: usize = 200;

/// Refuses if somebody else's helmfile changes the service; else what cannot be seen, a line for each.
pub(super) fn look(program: &str, folder: &Path, service: &str, environment: &str) -> Result<Vec<String>, Problem> {
    let own = std::process::id();
    let mut unseen = Vec::new();
    for process in processes().filter(|process| u32::try_from(process.id) != Ok(own)) {
        match concern(&process, program, folder, environment) {
            Concern::None => {}
            Concern::Perhaps => unseen.push(format!("perhaps of {service}, its folder is hidden: {}", words(&process))),
            Concern::Same => {
                return Err(Problem::refused(format!("somebody else's helmfile is at work on {service}"))
                    .detail(words(&process))
                    .hint("wait for it to end"));
            }
        }
    }
    Ok(unseen)
}

/// The process that holds the lock of the file with this inode, if it can be seen.
pub(super) fn holder_of(inode: u64) -> Option<Process> {
    #[allow(clippy::disallowed_methods)] // /proc is no disk
    let locks = fs::read_to_string("/proc/locks").ok()?;
    process(holder_in(&locks, inode)?)
}

/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:131074 0 EOF`
fn holder_in(locks: &str, inode: u64) -> Option<i32> {
    locks.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", id, file, ..] = fields[..] else { return None };
        (file.rsplit(':').next()? == inode.to_string()).then(|| id.parse().ok())?
    })
}

/// A process for people: `ann's process 4711: helmfile -e codfw sync`.
pub(super) fn words(process: &Process) -> String {
    let line: String = text::command(&process.arguments).chars().take(TOLD).collect();
    format!("{}'s process {}: {line}", process.user, process.id)
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| process(entry.ok()?.file_name().to_str()?.parse().ok()?))
}

/// None if it has ended meanwhile, or is one of the kernel's.
fn process(id: i32) -> Option<Process> {
    let place = Path::new("/proc").join(id.to_string());
    #[allow(clippy::disallowed_methods)] // /proc is no disk
    let line = fs::read(place.join("cmdline")).ok().filter(|line| !line.is_empty())?;
    let line = String::from_utf8_lossy(&line);
    let arguments = line.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
    let user = fs::metadata(&place).ok()?.uid();
    let name = User::from_uid(Uid::from_raw(user)).ok().flatten().map_or_else(|| format!("uid {user}"), |it| it.name);
    Some(Process { id, user: name, arguments, folder: fs::read_link(place.join("cwd")).ok() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_the_files_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fd:01:7 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 fd:01:131074 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 12 fd:01:131074 0 EOF\n";
        assert_eq!(holder_in(locks, 131_074), Some(4711));
        assert_eq!(holder_in(locks, 7), None, "another kind of lock");
    }

    #[test]
    fn this_process_is_seen_with_its_user_and_folder() {
        let own = process(std::process::id().try_into().unwrap()).unwrap();
        assert_eq!(own.folder, std::env::current_dir().ok());
        assert!(own.arguments[0].contains("usher"), "{own:?}");
        assert!(words(&own).contains(&format!("'s process {}: ", own.id)), "{}", words(&own));
    }
}
