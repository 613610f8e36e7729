//! What the host must have.

use std::{env, path::Path};

use anyhow::bail;

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
