//! What a machine's own root asks of its agent, over the Unix socket.

use std::time::Duration;

use tokio::join;
use usher_testkit::bed::{Bed, until};

use crate::{
    observe::{UNITS, invocations},
    turn::on_the_bed,
};

const SCHEDULER: &str = "kube-scheduler.service";
const SOCKET: &str = "/run/usher-agent/agent.sock";
/// A user of the machine who is not root, as the beginning of what it runs.
const STRANGER: [&str; 4] = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];

#[test]
fn a_machine_asks_for_a_restart_a_hold_keeps_it_back_and_nobody_but_root_may_do_either() {
    on_the_bed(async |bed| {
        for words in [&["status"][..], &["hold", "set", "--owner", "x", "--reason", "x"]] {
            let refused = bed.exec("cp2", &[&STRANGER[..], &["usher-agent"], words].concat()).await?;
            assert_eq!(refused.code, Some(1), "{refused}");
            assert!(refused.says(SOCKET), "{refused}");
        }
        let before = invocations(bed).await?;
        let ask = ["usher-agent", "request-restart", "kube-scheduler", "--reason", "certificate renewed"];
        let ask = [&ask[..], &["--requester", "puppet", "--wait", "--timeout", "5m"]].concat();
        let (asked, done) = join!(bed.exec("cp2", &ask), restart_what_is_wanted(bed));
        done?;
        let asked = asked?.success()?;
        assert!(asked.says("kube-scheduler.service was restarted: active (running)"), "{asked}");
        let after = invocations(bed).await?;
        for machine in ["cp1", "cp2", "cp3"] {
            for unit in UNITS {
                let wanted = machine == "cp2" && unit == SCHEDULER;
                assert_eq!(before[&(machine, unit)] != after[&(machine, unit)], wanted, "{unit} on {machine}");
            }
        }
        Ok(())
    });
}

async fn restart_what_is_wanted(bed: &Bed) -> anyhow::Result<()> {
    let line = "cp2: a restart of kube-scheduler.service is wanted: certificate renewed (puppet)";
    until("the request to be seen", Duration::from_secs(30), async || {
        Ok(bed.usher(&["status"]).await?.says(line).then_some(()))
    })
    .await?;
    let restart = ["restart", "--wanted", "--reason", "bed test", "--yes"];

    let hold =
        ["usher-agent", "hold", "set", "--owner", "storage", "--reason", "a disk is being replaced", "--for", "1h"];
    bed.exec("cp2", &hold).await?.success()?;
    let held = bed.usher(&restart).await?;
    assert_eq!(held.code, Some(3), "{held}");
    assert!(held.says("a disk is being replaced"), "{held}");

    bed.exec("cp2", &["usher-agent", "hold", "release", "--owner", "storage"]).await?.success()?;
    bed.usher(&restart).await?.success()?;
    let shown = bed.exec("cp2", &["usher-agent", "status"]).await?.success()?;
    assert!(!shown.says("certificate renewed"), "{shown}");
    Ok(())
}

#[test]
fn a_socket_whose_mode_somebody_has_opened_to_all_still_serves_root_alone() {
    on_the_bed(async |bed| {
        let mode = bed.shell("cp2", &format!("stat --format=%a {SOCKET}")).await?;
        assert_eq!(mode.stdout, "600\n");
        let told = turned_away(bed).await?;

        bed.shell("cp2", &format!("chmod 666 {SOCKET}")).await?;
        let refused = bed.exec("cp2", &[&STRANGER[..], &["usher-agent", "status"]].concat()).await;
        let served = bed.exec("cp2", &["usher-agent", "status"]).await;
        bed.shell("cp2", &format!("chmod 600 {SOCKET}")).await?;

        let (refused, served) = (refused?, served?.success()?);
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(served.says(SCHEDULER) && !refused.says(SCHEDULER), "{refused}");
        until("the refusal in the journal", Duration::from_secs(30), async || {
            Ok((turned_away(bed).await? > told).then_some(()))
        })
        .await
    });
}

/// How often the agent of cp2 has turned a local user away, by its journal.
async fn turned_away(bed: &Bed) -> anyhow::Result<usize> {
    let journal = bed.journal("cp2", "usher-agent.service").await?;
    Ok(journal.lines().filter(|line| line.contains("the Unix socket is for root alone")).count())
}
