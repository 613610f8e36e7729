//! Something on the machine holds an inhibitor of the mode `block`. Since systemd 257 login1 itself refuses a reboot then, to root as well,
//! unless it is asked with a flag to skip inhibitors.

use anyhow::{Context, ensure};
use usher_testkit::bed::Bed;

use crate::{
    observe::{DEBIAN_13, LOGIN, boot_id, is_cordoned, node},
    run::Run,
    turn::{and_then_undo, on_the_bed},
};

const MACHINE: &str = DEBIAN_13;
const HOLDER: &str = "bed-backup.service";

#[test]
fn a_block_inhibitor_keeps_the_machine_from_being_rebooted_until_it_is_overridden_as_usher_names_it() {
    on_the_bed(async |bed| {
        // Gone with the boot, if all goes well.
        let release = async { bed.exec(MACHINE, &["systemctl", "stop", HOLDER]).await.map(drop) };
        and_then_undo(reboot_past_it(bed), release).await
    });
}

async fn reboot_past_it(bed: &Bed) -> anyhow::Result<()> {
    ensure!(systemd_version(bed).await? >= 257, "this machine's login1 would not refuse by itself");
    inhibit(bed).await?;
    let before = boot_id(bed, MACHINE).await?;

    let refused = Run::of(bed, &["reboot", MACHINE]).await?;
    refused.assert_exit(3);
    refused.assert_says("inhibits a shutdown: a backup runs (process ");
    let name = override_named(&refused)?;
    assert_eq!(name, "backup", "{}", refused.output);
    assert!(!is_cordoned(bed, MACHINE).await?);
    // Nor would login1 do it for somebody who asks without the flag.
    let bare = bed.exec(MACHINE, &[&["busctl", "call"], &LOGIN[..], &["RebootWithFlags", "t", "0"]].concat()).await?;
    ensure!(bare.code != Some(0), "{bare}");
    assert_eq!(before, boot_id(bed, MACHINE).await?);

    let insisted = Run::of(bed, &["reboot", MACHINE, "--override-blocker", &name]).await?;
    insisted.assert_exit(0);
    let after = boot_id(bed, MACHINE).await?;
    assert_ne!(before, after);
    let info = node(bed, MACHINE).await?.status.and_then(|status| status.node_info);
    assert_eq!(info.map(|info| info.boot_id), Some(after));
    assert!(!is_cordoned(bed, MACHINE).await?);
    Ok(())
}

async fn systemd_version(bed: &Bed) -> anyhow::Result<u32> {
    let told = bed.exec(MACHINE, &["systemctl", "--version"]).await?.success()?;
    let version = told.stdout.split_whitespace().nth(1).and_then(|version| version.parse().ok());
    version.with_context(|| format!("no version in {told}"))
}

/// Returns once login1 knows of the inhibitor.
async fn inhibit(bed: &Bed) -> anyhow::Result<()> {
    let hold = "systemd-inhibit --what=shutdown --mode=block --who=backup --why='a backup runs' sleep infinity";
    let is_there = format!("busctl call {} ListInhibitors | grep -q '\"backup\"'", LOGIN.join(" "));
    let await_it = format!("for look in $(seq 100); do if {is_there}; then exit 0; fi; sleep 0.1; done; exit 1");
    bed.shell(MACHINE, &format!("systemd-run --unit={HOLDER} --collect {hold}; {await_it}")).await?;
    Ok(())
}

/// The name in the flag with which usher says that the reboot is possible nevertheless.
fn override_named(run: &Run) -> anyhow::Result<String> {
    // Within JSON its quotes are escaped.
    let said = format!("{}\n{}", run.output.stdout, run.output.stderr).replace('\\', "");
    let named = said.split_once("--override-blocker \"").and_then(|(_, rest)| rest.split_once('"'));
    named.map(|(name, _)| name.to_owned()).with_context(|| format!("no flag is named in {}", run.output))
}
