//! Somebody is logged in on the machine that is to be rebooted, on a real terminal by a real login.

use anyhow::ensure;
use usher_testkit::bed::Bed;

use crate::{observe::boot_id, run::Run, turn::on_the_bed};

const MACHINE: &str = "w2";

/// What the terminal of the user has shown. On the machine's disk, so that it is there after the boot.
const SCREEN: &str = "/root/bed-screen";

/// A login whose input never ends: at its end the shell would leave. It must lead the session of its terminal, or it is stopped as a job in
/// the background.
const LOG_IN: &str = "sleep infinity | exec script --quiet --flush --command 'exec login -f root'";

#[test]
fn a_user_keeps_the_machine_from_being_rebooted_and_once_overridden_reads_who_reboots_it_and_why() {
    on_the_bed(async |bed| {
        log_in(bed).await?;
        let before = boot_id(bed, MACHINE).await?;

        let refused = Run::of(bed, &["reboot", MACHINE]).await?;
        refused.assert_exit(3);
        refused.assert_says("root is logged in");
        refused.assert_says("user:root");
        assert_eq!(before, boot_id(bed, MACHINE).await?);

        let insisted = Run::of(bed, &["reboot", MACHINE, "--override-blocker", "user:root"]).await?;
        insisted.assert_exit(0);
        assert_ne!(before, boot_id(bed, MACHINE).await?);
        let screen = bed.shell(MACHINE, &format!("cat {SCREEN}; rm {SCREEN}")).await?;
        for words in ["Broadcast message", "usher reboots this machine now: bed test (by ", ", operation "] {
            ensure!(screen.says(words), "{words:?} was not on the user's terminal: {screen}");
        }
        Ok(())
    });
}

/// Logs root in, and returns once login1 has the session.
async fn log_in(bed: &Bed) -> anyhow::Result<()> {
    let begin = format!("systemd-run --unit=bed-login --collect sh -c \"{LOG_IN} {SCREEN}\"");
    let is_there = "loginctl list-sessions --no-legend | grep -q root";
    let await_it = format!("for look in $(seq 100); do if {is_there}; then exit 0; fi; sleep 0.1; done; exit 1");
    bed.shell(MACHINE, &format!("{begin}; {await_it}")).await?;
    Ok(())
}
