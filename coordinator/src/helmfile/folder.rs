//! A service's folder, the program, and the folder's lock.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use usher_common::config_file::nearest;
use usher_core::helmfile::Helmfile;

use crate::{exec, helmfile::others, problem::Problem};

/// By which names helmfile looks for its file.
const FILES: [&str; 3] = ["helmfile.yaml", "helmfile.yaml.gotmpl", "helmfile.d"];

/// The service's folder, without links, as the kernel says where a process works.
pub(super) fn find(settings: &Helmfile, service: &str, cluster: &str) -> Result<PathBuf, Problem> {
    let Some(path) = settings.folder_of(service, cluster) else {
        return Err(Problem::usage("the cluster file does not say where the services' helmfiles are")
            .hint("say it: [helmfile] folder = \"/srv/…\"; docs/helmfile.md has an example"));
    };
    let folder = match fs::canonicalize(&path) {
        Ok(folder) if folder.is_dir() => folder,
        Ok(_) => return Err(Problem::refused(format!("{} is no folder", path.display()))),
        Err(error) => return Err(missing(&path, service, &error)),
    };
    if settings.names_its_file() || FILES.iter().any(|name| folder.join(name).exists()) {
        return Ok(folder);
    }
    Err(Problem::refused(format!("{} has no helmfile", folder.display()))
        .detail(format!("looked for {}", FILES.join(", ")))
        .hint("if the services are elsewhere: [helmfile] folder in the cluster file"))
}

fn missing(path: &Path, service: &str, error: &std::io::Error) -> Problem {
    let problem =
        Problem::refused(format!("there is no folder of the service {service:?}: {}: {error}", path.display()));
    let others = path.parent().and_then(|above| fs::read_dir(above).ok()).into_iter().flatten();
    let names: Vec<_> = others
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    match nearest(service, names.iter().map(String::as_str)) {
        Some(meant) => problem.meant(Some(meant)),
        None => problem.hint("if the services are elsewhere: [helmfile] folder in the cluster file"),
    }
}

/// Succeeds if the program can be run.
pub(super) fn expect_program(program: &str) -> Result<(), Problem> {
    match (exec::is_program(program), program.contains('/')) {
        (true, _) => Ok(()),
        (false, true) => {
            Err(Problem::refused(format!("{program} is no program"))
                .hint("mend [helmfile] program in the cluster file"))
        }
        (false, false) => Err(Problem::refused(format!("there is no {program} on this host: PATH has none"))
            .hint("install it, or name it: [helmfile] program in the cluster file")),
    }
}

/// Holds a service's folder for one roll, as `flock FOLDER helmfile …` does by hand. The kernel gives it back when the process ends,
/// however that comes.
#[derive(Debug)]
pub(super) struct Lock {
    _folder: File,
}

impl Lock {
    /// Takes it, or says who has it.
    pub(super) fn take(folder: &Path, service: &str) -> Result<Self, Problem> {
        let failed =
            |error: &dyn std::error::Error| Problem::refused(format!("cannot lock {}: {error}", folder.display()));
        #[allow(clippy::disallowed_methods)] // a lock is the folder itself: nothing is read or written
        let file = File::open(folder).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _folder: file }),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
            Err(TryLockError::WouldBlock) => {
                let inode = file.metadata().map(|it| it.ino()).unwrap_or_default();
                let holder =
                    others::holder_of(inode).map_or_else(|| "somebody else".to_owned(), |it| others::words(&it));
                Err(Problem::refused(format!("{service} is rolled already: its folder {} is locked", folder.display()))
                    .detail(format!("by {holder}"))
                    .hint("wait for it to end"))
            }
        }
    }
}
