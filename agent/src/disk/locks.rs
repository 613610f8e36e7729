//! The kernel's list of the locks on files.

use nix::sys::stat::{major, minor};

/// The file with the list. It says nothing of the holders but their process ids, and everybody may read it.
pub(super) const LIST: &str = "/proc/locks";

/// Whether a POSIX lock on the file with this inode, on the file system on this device, is on the list. A line is `1: POSIX
/// ADVISORY WRITE PID MAJOR:MINOR:INODE START END`, with the device in hexadecimal digits; one with `->` only waits.
pub(super) fn is_on(list: &str, device: u64, inode: u64) -> bool {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    list.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some("POSIX") && fields.nth(3) == Some(file.as_str())
    })
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::makedev;

    use super::*;

    #[test]
    fn only_a_posix_lock_that_is_held_on_the_very_file_counts() {
        let list = "\
1: FLOCK  ADVISORY  WRITE 21761 fe:00:398609 0 EOF
2: POSIX  ADVISORY  WRITE 20033 fe:00:398608 0 EOF
2: -> POSIX  ADVISORY  WRITE 20034 fe:00:398608 0 EOF
3: -> POSIX  ADVISORY  WRITE 20034 fe:00:398610 0 EOF
4: OFDLCK ADVISORY  READ  -1 00:1d:12 0 EOF
";
        let disk = makedev(0xfe, 0);
        assert!(is_on(list, disk, 398_608));
        for (device, inode) in [(disk, 398_609), (disk, 398_610), (disk, 39860), (makedev(0xfe, 1), 398_608)] {
            assert!(!is_on(list, device, inode), "{device} {inode}");
        }
        assert!(!is_on("", disk, 398_608));
    }
}
