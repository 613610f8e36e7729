//! A real dbus-daemon that has no room for the agent's calls.

use anyhow::ensure;
use usher_testkit::bed::Bed;

use crate::{observe::invocation, turn::on_the_bed};

const MACHINE: &str = "cp1";
const UNIT: &str = "kube-scheduler.service";

/// Read by dbus-daemon beside its own files, each time it is reloaded.
const LIMITS: &str = "/etc/dbus-1/system.d/usher-test-limits.conf";

/// The agent makes up to 32 calls at once. systemd and polkit, which the limit is for as well, make one or two.
const REPLIES: usize = 4;

#[test]
fn calls_for_which_the_bus_has_no_room_are_made_again_and_nothing_is_taken_for_a_refusal() {
    on_the_bed(async |bed| {
        let before = invocation(bed, MACHINE, UNIT).await?;
        let limits = format!("<busconfig><limit name=\"max_replies_per_connection\">{REPLIES}</limit></busconfig>");
        let write = format!("echo '{limits}' > {LIMITS} && systemctl reload dbus");
        bed.exec(MACHINE, &["sh", "-c", &write]).await?.success()?;
        let used = use_the_agent(bed).await;
        let remove = format!("rm {LIMITS} && systemctl reload dbus");
        bed.exec(MACHINE, &["sh", "-c", &remove]).await?.success()?;
        used?;
        ensure!(invocation(bed, MACHINE, UNIT).await? != before, "{UNIT} was not restarted");
        Ok(())
    });
}

async fn use_the_agent(bed: &Bed) -> anyhow::Result<()> {
    for _ in 0..10 {
        let status = bed.usher(&["agent", "status", MACHINE]).await?.success()?;
        ensure!(!status.says("does not answer") && !status.says("LimitsExceeded"), "{status}");
    }
    let restart = ["agent", "restart", MACHINE, UNIT, "--reason", "bed test", "--yes"];
    bed.usher(&restart).await?.success()?;
    Ok(())
}
