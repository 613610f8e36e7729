//! What the host must have.

use std::{env, fs, path::Path};

use anyhow::{Context as _, bail};

use super::Progress;

/// Programs that are run on the host, and the Debian package of each.
const PROGRAMS: [(&str, &str); 11] = [
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("mount", "mount"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("perl", "perl-base"),
    ("systemd-nspawn", "systemd-container"),
    ("tar", "tar"),
    ("unshare", "util-linux"),
];

/// How many inotify instances a user of this host may have. Five booted systemds with their services use some hundred; the
/// kernel's default of 128 is for everything else on the host as well, and a systemd that gets none does not boot.
const INOTIFY_INSTANCES: &str = "/proc/sys/fs/inotify/max_user_instances";
const ENOUGH_INSTANCES: u32 = 1024;

/// Raises the host's limit of inotify instances if it is low, and says so.
pub(super) fn allow_inotify(say: Progress<'_>) -> anyhow::Result<()> {
    let limit: u32 = fs::read_to_string(INOTIFY_INSTANCES)?.trim().parse()?;
    if limit < ENOUGH_INSTANCES {
        say(&format!("raising this host's fs.inotify.max_user_instances from {limit} to {ENOUGH_INSTANCES}"));
        fs::write(INOTIFY_INSTANCES, ENOUGH_INSTANCES.to_string()).with_context(|| {
            format!("five machines may need more than {limit} inotify instances: {INOTIFY_INSTANCES}")
        })?;
    }
    Ok(())
}

/// Says all that is missing at once, with the command that would put it right.
pub(super) fn check() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the bed needs root: it mounts disks and makes namespaces (try: sudo -E make bed)");
    }
    let mut missing: Vec<_> =
        PROGRAMS.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    missing.dedup();
    if !missing.is_empty() {
        bail!("missing on this host: apt-get install --no-install-recommends {}", missing.join(" "));
    }
    Ok(())
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    // sudo and cron may leave these out.
    folders.extend(["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).to_owned()));
    folders.iter().any(|folder| folder.join(program).is_file())
}
