//! Files of the agent that are open to users who should not have them.
//!
//! By their modes: access control lists are not looked at. A warning and no refusal, since an agent that does not start helps
//! nobody.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use crate::config::Config;

/// The bits of a mode for others than owner and group.
const READ: u32 = 0o004;
const WRITE: u32 = 0o002;

/// Which of the agent's key and its configuration (`file`) are open to others than their owners and groups, in sentences. It blocks
/// while the disk does.
pub(super) fn too_open(file: &Path, config: &Config) -> Vec<String> {
    let key = &config.tls.key;
    let mut warnings = Vec::new();
    if let Some(mode) = open_to_others(key, READ | WRITE) {
        let key = key.display();
        warnings.push(format!(
            "every user of this machine may read or write {key} (mode {mode:04o}), and with it can pass for this agent: chmod o= {key}, \
             and replace the key if somebody may have read it"
        ));
    }
    if let Some(mode) = open_to_others(file, WRITE) {
        let file = file.display();
        warnings.push(format!(
            "every user of this machine may write {file} (mode {mode:04o}), and so decides who may call: chmod o-w {file}"
        ));
    }
    warnings
}

/// The file's mode if it gives others any of `bits`. A file that cannot be looked at is told of by those who read it.
fn open_to_others(path: &Path, bits: u32) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.mode() & 0o7777;
    (mode & bits != 0).then_some(mode)
}
