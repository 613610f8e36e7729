//! A unit that the agent of w2 may restart. By itself it has none: polkit's rule, as the package brings it, names units of the control
//! plane alone.

use std::time::Duration;

use usher_testkit::bed::{Bed, machine, until};

use crate::{observe::DEBIAN_13, turn::and_then_undo};

pub(crate) const MACHINE: &str = DEBIAN_13;
/// One of polkit's rule. Nothing else of this name is on that machine.
pub(crate) const UNIT: &str = "kube-scheduler.service";

const SERVICE: &str = "[Unit]\nDescription=Stands in for a scheduler\n[Service]\nExecStart=sleep infinity\n";
const AGENT_TOML: &str = "/etc/usher/agent.toml";
/// From the file until the agent goes by it.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// Runs `test` while the unit runs and is on the agent's list, and takes both away whatever comes of it.
pub(crate) async fn with(bed: &Bed, test: impl AsyncFnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let test = async {
        put(bed).await?;
        test().await
    };
    and_then_undo(test, take_away(bed)).await
}

async fn take_away(bed: &Bed) -> anyhow::Result<()> {
    let script = format!(
        "systemctl stop {UNIT} || true
        rm -rf /etc/systemd/system/{UNIT} /etc/systemd/system/{UNIT}.d
        systemctl daemon-reload; systemctl reset-failed {UNIT} 2>/dev/null || true"
    );
    bed.shell(MACHINE, &script).await?;
    bed.reset_agent(machine(MACHINE)?).await
}

async fn put(bed: &Bed) -> anyhow::Result<()> {
    bed.write(MACHINE, &format!("/etc/systemd/system/{UNIT}"), SERVICE).await?;
    bed.shell(MACHINE, &format!("systemctl daemon-reload; systemctl start {UNIT}")).await?;
    let text = bed.shell(MACHINE, &format!("cat {AGENT_TOML}")).await?.stdout;
    bed.write(MACHINE, AGENT_TOML, &format!("{text}\n[units.\"{UNIT}\"]\n")).await?;
    until("the unit on the agent's list", READ_WITHIN, async || {
        Ok(bed.usher(&["agent", "units", MACHINE]).await?.says(UNIT).then_some(()))
    })
    .await
}
