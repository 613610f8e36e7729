//! A machine's own disk: a file with an ext4 on a loop device, and the overlay of the common root file system on it.
//!
//! A journalling file system of its own is what makes a loss of power real: what was not synced is gone afterwards.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use super::{Output, until};

/// Size of a disk. The file is sparse: a worker with 40 containers fills some 400 MiB.
const SIZE: u64 = 6 << 30;
/// The last process of a machine may still hold a file when nspawn has gone.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(10);

/// Makes an ext4 drop everything that is not on its disk yet, and refuse all further work, in one moment.
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`; there is no program for it, and this crate forbids unsafe code.
const SHUT_DOWN: &str = r#"
    open(my $file, "<", $ARGV[0]) or die "open: $!\n";
    my $no_log_flush = pack("I", 2);
    defined ioctl($file, 0x8004587d, $no_log_flush) or die "ioctl: $!\n";
"#;

/// The mounted disk of a machine.
#[derive(Debug)]
pub(super) struct Disk {
    mount: PathBuf,
    root: PathBuf,
}

impl Disk {
    /// Makes the disk if the machine has none yet, and mounts it. Must run in a mount namespace of the machine's own:
    /// another machine's copy of this mount would keep the file system alive after a loss of power.
    pub(super) async fn mount(folder: &Path, lower: &Path) -> anyhow::Result<Self> {
        let image = folder.join("disk.img");
        let disk = Self { mount: folder.join("disk"), root: folder.join("root") };
        if !image.exists() {
            File::create(&image)?.set_len(SIZE)?;
            let options =
                ["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"].map(AsRef::<std::ffi::OsStr>::as_ref);
            let arguments: Vec<_> = options.into_iter().chain([image.as_os_str()]).collect();
            Output::of("mkfs.ext4", &arguments).await?.success()?;
        }
        fs::create_dir_all(&disk.mount)?;
        fs::create_dir_all(&disk.root)?;
        Output::of("mount", &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), disk.mount.as_os_str()])
            .await?
            .success()?;
        let (upper, work) = (disk.mount.join("upper"), disk.mount.join("work"));
        fs::create_dir_all(&upper)?;
        fs::create_dir_all(&work)?;
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        mount(Some("overlay"), &disk.root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .context("cannot mount the overlay of the root file system")?;
        Ok(disk)
    }

    /// The machine's root directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes what was written so far survive a loss of power.
    pub(super) async fn sync(&self) -> anyhow::Result<()> {
        Output::of("sync", &["-f".as_ref(), self.mount.as_os_str()]).await?.success().map(drop)
    }

    /// The moment in which the power goes.
    pub(super) async fn cut_power(&self) -> anyhow::Result<()> {
        let output = Output::of("perl", &["-e".as_ref(), SHUT_DOWN.as_ref(), self.mount.as_os_str()]).await?;
        ensure!(output.code == Some(0), "cannot shut the file system down: {}", output.stderr.trim());
        Ok(())
    }

    /// Unmounts overlay and disk.
    pub(super) async fn unmount(self) -> anyhow::Result<()> {
        for target in [&self.root, &self.mount] {
            until("the machine's last open file", UNMOUNT_LIMIT, async || match umount2(target, MntFlags::empty()) {
                Ok(()) => Ok(Some(())),
                Err(Errno::EBUSY) => Ok(None),
                Err(error) => Err(error).with_context(|| format!("cannot unmount {}", target.display())),
            })
            .await?;
        }
        Ok(())
    }
}
