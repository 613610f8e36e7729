//! The agent's Debian package: an upgrade and a downgrade leave an operation and the process alone, a removal warns, and a purge
//! leaves nothing.

use std::time::Duration;

use usher_testkit::bed::{Bed, until};

use crate::{
    observe::{assert_home_is_not_its_own, await_activating},
    turn::on_the_bed,
};

const MACHINE: &str = "cp3";
const UNIT: &str = "kube-scheduler.service";
/// Makes a restart long enough to upgrade the agent in the middle of it.
const SLOW_START: &str = "[Service]\nExecStartPre=sleep 15\n";
const LIMIT: Duration = Duration::from_secs(60);

/// What remains once the package is purged: what this bed has put there, and the certificates that no package has brought.
const REMAINS: &str =
    "/etc/polkit-1/rules.d/50-usher-agent.rules\n/etc/systemd/system/usher-agent.service.d\n/etc/usher\n";

#[test]
fn the_package_upgrades_the_agent_in_the_middle_of_an_operation_and_leaves_nothing_when_it_is_purged() {
    on_the_bed(async |bed| {
        let ended = through_its_life(bed).await;
        bed.undo_agent_package(MACHINE).await?;
        ended
    });
}

async fn through_its_life(bed: &Bed) -> anyhow::Result<()> {
    let old = bed.put_agent_package(MACHINE, "0.1.0-1~bed1").await?;
    let new = bed.put_agent_package(MACHINE, "0.1.0-1~bed2").await?;

    // Over an agent that no package has installed, which is the same to dpkg.
    let before = main_process(bed).await?;
    install(bed, &old).await?;
    await_runs_what_is_installed(bed).await?;
    assert_eq!(main_process(bed).await?, before, "one process from the first to the last");

    bed.override_unit(MACHINE, UNIT, SLOW_START).await?;
    let (run, upgraded) = tokio::join!(restart(bed), async {
        await_activating(bed, MACHINE, UNIT).await?;
        install(bed, &new).await?;
        until("the agent to say that another binary is installed", LIMIT, async || {
            let status = bed.usher(&["agent", "status", MACHINE]).await?;
            Ok(status.says("runs once the agent is idle").then_some(()))
        })
        .await?;
        assert!(!runs_what_is_installed(bed).await?, "an operation runs");
        assert_eq!(main_process(bed).await?, before);
        anyhow::Ok(())
    });
    upgraded?;
    run?.success()?;
    await_runs_what_is_installed(bed).await?;
    assert_eq!(main_process(bed).await?, before);
    let status = bed.usher(&["agent", "status", MACHINE]).await?.success()?;
    assert!(!status.says("installed agent"), "{status}");

    install(bed, &old).await?;
    await_runs_what_is_installed(bed).await?;
    assert_eq!(main_process(bed).await?, before, "a downgrade is an upgrade");
    assert_eq!(show(bed, "NRestarts").await?, "0");
    bed.usher(&["agent", "status", MACHINE]).await?.success()?;

    // usher would go on to wait for the agent, which does not come back.
    let removed = tokio::select! {
        run = restart(bed) => anyhow::bail!("the restart ended before the agent was removed: {}", run?),
        removed = async {
            await_activating(bed, MACHINE, UNIT).await?;
            bed.exec(MACHINE, &["dpkg", "--remove", "usher-agent"]).await?.success()
        } => removed?,
    };
    assert!(removed.says("WARNING: operation "), "{removed}");
    assert_eq!(show(bed, "ActiveState").await?, "inactive");
    bed.shell(MACHINE, "test -e /var/lib/usher-agent/running.json && test -e /etc/usher/agent.toml").await?;

    bed.shell(MACHINE, "dpkg --purge usher-agent").await?;
    // Not '*usher*', which a flusher is, too.
    let ours =
        "find /etc /usr /var \\( -name 'usher*' -o -name '_usher*' -o -name '50-usher*' \\) -prune -print | sort";
    let remains = bed.shell(MACHINE, ours).await?;
    assert_eq!(remains.stdout, REMAINS);
    bed.shell(MACHINE, "test ! -e /etc/usher/agent.toml && test -e /etc/usher/agent-key.pem").await?;

    // The user stays, as Debian's system users do. Where there has never been one, the package makes it.
    bed.exec(MACHINE, &["userdel", "usher-agent"]).await?.success()?;
    install(bed, &old).await?;
    assert_home_is_not_its_own(bed, MACHINE).await
}

async fn install(bed: &Bed, package: &str) -> anyhow::Result<()> {
    bed.exec(MACHINE, &["dpkg", "--install", package]).await?.success().map(drop)
}

/// Restarts the unit by the agent, and waits for its end.
async fn restart(bed: &Bed) -> anyhow::Result<usher_testkit::bed::Output> {
    bed.usher(&["agent", "restart", MACHINE, "kube-scheduler", "--reason", "bed test", "--yes"]).await
}

async fn show(bed: &Bed, property: &str) -> anyhow::Result<String> {
    let words = ["systemctl", "show", "--value", "--property", property, "usher-agent.service"];
    Ok(bed.exec(MACHINE, &words).await?.success()?.stdout.trim().to_owned())
}

async fn main_process(bed: &Bed) -> anyhow::Result<String> {
    show(bed, "MainPID").await
}

/// Whether the agent's process executes the file that is installed, and not one that has lost its name.
async fn runs_what_is_installed(bed: &Bed) -> anyhow::Result<bool> {
    let same = format!("/proc/{}/exe -ef /usr/sbin/usher-agent", main_process(bed).await?);
    let test: Vec<_> = ["test"].into_iter().chain(same.split(' ')).collect();
    Ok(bed.exec(MACHINE, &test).await?.code == Some(0))
}

async fn await_runs_what_is_installed(bed: &Bed) -> anyhow::Result<()> {
    let executed = until("the agent to execute what is installed", LIMIT, async || {
        Ok(runs_what_is_installed(bed).await?.then_some(()))
    });
    if let Err(error) = executed.await {
        let journal = bed.journal(MACHINE, "usher-agent.service").await.unwrap_or_default();
        return Err(error.context(format!("its journal:\n{journal}")));
    }
    Ok(())
}
