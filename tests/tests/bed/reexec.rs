//! systemd re-executes itself in the middle of a restart, as an upgrade of its package makes it do.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;
use usher_testkit::bed::Bed;

use crate::{
    observe::{await_activating, invocation, starts},
    stand_in,
    turn::on_the_bed,
};

const UNIT: &str = stand_in::UNIT;
const AGENT: &str = "usher-agent.service";
/// Makes a restart longer than all of it.
const SLOW_START: &str = "[Service]\nExecStartPre=sleep 30\n";
/// How long systemd does it again and again. The agent looks each 5 s whether its job is still there: one look at least finds systemd away
/// from the bus, which then answers for it that it cannot be started.
const AGAIN_FOR: Duration = Duration::from_secs(12);

#[test]
fn a_restart_in_which_systemd_re_executes_itself_is_done_once_and_proved_on_debian_12() {
    on_the_bed(async |bed| restart_through_it(bed, "cp2").await);
}

#[test]
fn a_restart_in_which_systemd_re_executes_itself_is_done_once_and_proved_on_debian_13() {
    on_the_bed(async |bed| stand_in::with(bed, async || restart_through_it(bed, stand_in::MACHINE).await).await);
}

async fn restart_through_it(bed: &Bed, machine: &str) -> anyhow::Result<()> {
    bed.override_unit(machine, UNIT, SLOW_START).await?;
    let (before, started) = (invocation(bed, machine, UNIT).await?, starts(bed, machine, UNIT).await?);
    let agent = invocation(bed, machine, AGENT).await?;

    let words = ["agent", "restart", machine, UNIT, "--reason", "bed test", "--yes", "--output", "json"];
    let (run, re_executed) = tokio::join!(bed.usher(&words), re_execute(bed, machine));

    let run = run?;
    re_executed.with_context(|| run.to_string())?;
    ensure!(run.code == Some(0), "{run}");
    let after = invocation(bed, machine, UNIT).await?;
    let evidence = &run.json()?["evidence"];
    assert_eq!(evidence["invocationIdBefore"], before.as_str(), "{run}");
    assert_eq!(evidence["invocationIdAfter"], after.as_str(), "{run}");
    assert_ne!(before, after);
    assert_eq!(starts(bed, machine, UNIT).await? - started, 1, "restarted exactly once");
    assert_eq!(invocation(bed, machine, AGENT).await?, agent, "the agent itself runs on");
    Ok(())
}

async fn re_execute(bed: &Bed, machine: &str) -> anyhow::Result<()> {
    await_activating(bed, machine, UNIT).await?;
    let begin = Instant::now();
    while begin.elapsed() < AGAIN_FOR {
        // It may take its answer along.
        bed.exec(machine, &["systemctl", "daemon-reexec"]).await?;
        // It is back, and the restart has not ended meanwhile.
        await_activating(bed, machine, UNIT).await?;
    }
    let systemd = bed.shell(machine, "tr '\\0' ' ' < /proc/1/cmdline").await?;
    ensure!(systemd.says("--deserialize"), "this systemd has not re-executed itself: {systemd}");
    Ok(())
}
