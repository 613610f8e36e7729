//! The fault tool-box: what can happen to machines and cables.

use std::{fs, time::Duration};

use anyhow::{Context, bail};

use super::{Bed, MACHINES, Machine, Power, SANDBOX_ADDRESS, init::CGROUPS, machine, until};

/// From power-on to the default target; five machines share two cores.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// From the signal to the last unmount.
const OFF_LIMIT: Duration = Duration::from_secs(120);
const PARTITION: &str = include_str!("../../machines/config/partition.nft");

/// A machine's network cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Plugged in.
    Up,
    /// Pulled out.
    Down,
}

impl Bed {
    /// Starts a machine that is off and waits until its default target is reached.
    ///
    /// # Errors
    /// If it is on already, or does not come up.
    pub async fn power_on(&self, name: &str) -> anyhow::Result<()> {
        let machine = machine(name)?;
        let before = self.state(name)?;
        if before.power != Power::Off {
            bail!("{name} is on already ({:?})", before.power);
        }
        self.supervise(machine).await?;
        self.await_boot(name, before.boots + 1).await
    }

    /// Switches a machine off in an orderly way.
    ///
    /// # Errors
    /// If it is off already, or does not go down.
    pub async fn power_off(&self, name: &str) -> anyhow::Result<()> {
        let leader = self.leader(name)?;
        // systemd's signal for poweroff.target.
        self.sandbox.run(&["kill", "--signal", "RTMIN+4", &leader], &[]).await?.success()?;
        self.await_power(name, Power::Off).await
    }

    /// Takes a machine's power away in one moment: what it had not synced is lost, and no peer hears of it.
    ///
    /// # Errors
    /// If it is off already.
    pub async fn power_loss(&self, name: &str) -> anyhow::Result<()> {
        let Some(supervisor) = self.state(name)?.supervisor else { bail!("{name} is off already") };
        self.sandbox.run(&["kill", "--signal", "USR1", &supervisor.to_string()], &[]).await?.success()?;
        self.await_power(name, Power::Off).await
    }

    /// Reboots a machine from the inside and waits until it is up again.
    ///
    /// # Errors
    /// If it is off, or does not come back.
    pub async fn reboot(&self, name: &str) -> anyhow::Result<()> {
        let boots = self.state(name)?.boots;
        // The answer may be lost with the machine; the boot is the proof.
        self.exec(name, &["systemctl", "reboot"]).await?;
        self.await_boot(name, boots + 1).await
    }

    /// Waits until a machine has been started `boots` times and its default target is reached.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn await_boot(&self, name: &str, boots: u32) -> anyhow::Result<()> {
        until(&format!("boot {boots} of {name}"), BOOT_LIMIT, async || {
            let state = self.state(name)?;
            Ok((state.boots >= boots && state.power == Power::Running).then_some(()))
        })
        .await
    }

    /// Waits until a machine is in this state.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn await_power(&self, name: &str, power: Power) -> anyhow::Result<()> {
        until(&format!("{name} to be {power:?}"), OFF_LIMIT, async || {
            Ok((self.state(name)?.power == power).then_some(()))
        })
        .await
    }

    /// From its next reboot on, a machine goes down and does not come back until [`Bed::allow_return`].
    ///
    /// # Errors
    /// If the machine is unknown.
    pub fn refuse_return(&self, name: &str) -> anyhow::Result<()> {
        let path = self.folder.refusal(machine(name)?);
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))
    }

    /// Lets a machine come back; one that is held down starts at once.
    ///
    /// # Errors
    /// If the machine is unknown.
    pub fn allow_return(&self, name: &str) -> anyhow::Result<()> {
        let path = self.folder.refusal(machine(name)?);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Stops every process of a machine. Its kernel still answers: pings return, connections are accepted, nobody speaks.
    ///
    /// # Errors
    /// If the machine is off.
    pub async fn hang(&self, name: &str) -> anyhow::Result<()> {
        self.freeze(name, "1").await
    }

    /// Lets a machine that hangs go on.
    ///
    /// # Errors
    /// If the machine is off.
    pub async fn thaw(&self, name: &str) -> anyhow::Result<()> {
        self.freeze(name, "0").await
    }

    async fn freeze(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let machine = machine(name)?;
        let file = format!("{CGROUPS}/{}/{}/payload/cgroup.freeze", self.folder.cgroup(), machine.name);
        self.sandbox.run(&["tee", &file], value.as_bytes()).await?.success().map(drop)
    }

    /// Neither hears the other any more. A name is a machine's, or `sandbox` for the balancer and usher itself.
    ///
    /// # Errors
    /// If a name is unknown.
    pub async fn cut(&self, one: &str, other: &str) -> anyhow::Result<()> {
        self.cut_one_way(one, other).await?;
        self.cut_one_way(other, one).await
    }

    /// `to` does not hear `from` any more; the other way works.
    ///
    /// # Errors
    /// If a name is unknown.
    pub async fn cut_one_way(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let pair = format!("{{ {} . {} }}", address(from)?, address(to)?);
        if self.sandbox.run(&["nft", "list", "table", "bridge", "partition"], &[]).await?.code != Some(0) {
            self.sandbox.run(&["nft", "--file", "-"], PARTITION.as_bytes()).await?.success()?;
        }
        self.sandbox
            .run(&["nft", "add", "element", "bridge", "partition", "cut", &pair], &[])
            .await?
            .success()
            .map(drop)
    }

    /// Ends all cuts.
    ///
    /// # Errors
    /// If the sandbox has ended.
    pub async fn heal(&self) -> anyhow::Result<()> {
        self.sandbox.run(&["nft", "delete", "table", "bridge", "partition"], &[]).await.map(drop)
    }

    /// Plugs a machine's cable in or out.
    ///
    /// # Errors
    /// If the machine is off.
    pub async fn link(&self, name: &str, link: Link) -> anyhow::Result<()> {
        let direction = match link {
            Link::Up => "up",
            Link::Down => "down",
        };
        self.sandbox.run(&["ip", "link", "set", &machine(name)?.link(), direction], &[]).await?.success().map(drop)
    }

    /// Boots all machines at once.
    pub(super) async fn boot_all(&self) -> anyhow::Result<()> {
        for machine in &MACHINES {
            self.supervise(machine).await?;
        }
        for machine in &MACHINES {
            self.await_boot(machine.name, 1).await.with_context(|| {
                format!("{} does not come up: see {}", machine.name, self.folder.log(machine.name).display())
            })?;
        }
        Ok(())
    }

    async fn supervise(&self, machine: &Machine) -> anyhow::Result<()> {
        let folder = self.folder.path().as_os_str();
        let words =
            [self.settings.bed.as_os_str(), "internal".as_ref(), "machine".as_ref(), folder, machine.name.as_ref()];
        self.sandbox.start(&words, &self.folder.log(machine.name)).await
    }

    fn leader(&self, name: &str) -> anyhow::Result<String> {
        let state = self.state(name)?;
        state.leader.map(|pid| pid.to_string()).with_context(|| format!("{name} is off"))
    }
}

fn address(name: &str) -> anyhow::Result<&'static str> {
    match name {
        "sandbox" => Ok(SANDBOX_ADDRESS),
        name => Ok(machine(name)?.address),
    }
}
