//! A machine: a fake systemd, the shipped agent as a process of its own, and what its units are.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{net::TcpStream, process::Child, sync::mpsc, task::JoinSet, time::Instant};

use super::{
    CONTROLLER_MANAGER_LEADS_ON, Programs, SCHEDULER_LEADS_ON,
    components::{Component, Stage},
    files,
    network::{AGENT_PORT, Network},
    programs::command,
};
use crate::{
    apiserver::ApiServer,
    pki::Ca,
    systemd::{FakeSystemd, Listener, Reboot},
};

/// A boot of these machines is quick.
const BOOT_TAKES: Duration = Duration::from_millis(1500);
/// The others try for a lease only after the machine that is to lead at first.
const HEAD_START: Duration = Duration::from_millis(500);
/// A start of an agent takes milliseconds; on a busy machine a second.
const AGENT_STARTS_WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a machine is made of.
pub(super) struct Setup<'a> {
    pub(super) name: &'static str,
    pub(super) boot_id: &'a str,
    pub(super) up_for: Duration,
    pub(super) folder: &'a Path,
    pub(super) network: Network,
    pub(super) api: &'a ApiServer,
    pub(super) ca: &'a Ca,
    pub(super) programs: &'a Programs,
    pub(super) components: Vec<Component>,
}

/// A machine of the sandbox. It ends, with its agent, when it is dropped.
pub(super) struct Machine {
    name: &'static str,
    folder: PathBuf,
    agent_address: (Ipv4Addr, u16),
    _bus: Listener,
    _tasks: JoinSet<()>,
}

impl Machine {
    pub(super) fn start(setup: Setup<'_>) -> anyhow::Result<Self> {
        let Setup { name, network, components, .. } = setup;
        let folder = setup.folder.join(name);
        let address = network.address(name);
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let names = [name, &address.to_string(), &network.balancer().to_string(), "kubernetes"];
        let identity = setup.ca.server(&names)?;
        identity.write(&folder, "agent")?;
        setup.ca.write(&folder.join("ca.pem"))?;

        let systemd = FakeSystemd::new();
        systemd.set_booted_at(usher_common::clock::now() - setup.up_for);
        for component in &components {
            systemd.add_unit(component.unit);
            systemd.set_unit(component.unit, |unit| unit.takes = component.takes());
        }
        let (asked, reboots) = mpsc::unbounded_channel();
        systemd.on_reboot(Reboot::Calls(Arc::new(move || {
            // Nobody listens any more only when the sandbox ends.
            let _ = asked.send(());
        })));
        let bus = systemd.listen(&folder.join("bus.sock"))?;
        files::agent_configuration(&folder, name, address, &bus.address(), &components)?;

        let life = Life {
            name,
            agent: setup.programs.agent(),
            folder: folder.clone(),
            systemd: systemd.clone(),
            units: components.iter().map(|component| component.unit).collect(),
            api: setup.api.clone(),
        };
        let process = life.boot(setup.boot_id)?;
        let stage =
            Stage { name, address, api: setup.api.clone(), identity, client_ca: setup.ca.pem().to_owned(), systemd };
        let stage = Arc::new(stage);
        let mut tasks = JoinSet::new();
        for component in components {
            let late = if leads_at_first(name, component.unit) { Duration::ZERO } else { HEAD_START };
            tasks.spawn(component.play(Arc::clone(&stage), late));
        }
        tasks.spawn(life.run(process, reboots));
        Ok(Self { name, folder, agent_address: (address, AGENT_PORT), _bus: bus, _tasks: tasks })
    }

    /// Waits until the agent takes connections.
    pub(super) async fn await_agent(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + AGENT_STARTS_WITHIN;
        while TcpStream::connect(self.agent_address).await.is_err() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.join("agent.log")).unwrap_or_default();
                bail!("the agent of {} does not listen after {AGENT_STARTS_WITHIN:?}:\n{log}", self.name);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

fn leads_at_first(machine: &str, unit: &str) -> bool {
    match unit {
        "kube-scheduler.service" => machine == SCHEDULER_LEADS_ON,
        "kube-controller-manager.service" => machine == CONTROLLER_MANAGER_LEADS_ON,
        _ => true,
    }
}

/// A boot id that no machine has had.
///
/// # Errors
/// If the kernel gives none.
pub(super) fn new_boot_id() -> anyhow::Result<String> {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").context("ask the kernel for a uuid")?;
    Ok(uuid.trim().to_owned())
}

/// The machine from boot to boot.
struct Life {
    name: &'static str,
    agent: PathBuf,
    folder: PathBuf,
    systemd: FakeSystemd,
    units: Vec<&'static str>,
    api: ApiServer,
}

impl Life {
    async fn run(self, mut agent: Child, mut reboots: mpsc::UnboundedReceiver<()>) {
        while let Some(()) = reboots.recv().await {
            // The answer to the reboot call is on its way; after it everything on the machine ends.
            tokio::time::sleep(LOOK_AGAIN).await;
            drop(agent);
            self.api.power_off(self.name);
            for unit in &self.units {
                self.systemd.set_unit(unit, |unit| unit.active_state = "inactive".to_owned());
            }
            tokio::time::sleep(BOOT_TAKES).await;
            self.systemd.boot();
            self.systemd.set_booted_at(usher_common::clock::now());
            let booted = new_boot_id().and_then(|boot_id| {
                let agent = self.boot(&boot_id)?;
                self.api.boot(self.name, &boot_id);
                Ok(agent)
            });
            agent = match booted {
                Ok(agent) => agent,
                Err(error) => {
                    // The machine stays away; its log says why.
                    let _ = fs::write(self.folder.join("agent.log"), format!("{error:#}\n"));
                    return;
                }
            };
        }
    }

    /// Starts the agent in a boot with this id.
    fn boot(&self, boot_id: &str) -> anyhow::Result<Child> {
        fs::write(self.folder.join("boot_id"), format!("{boot_id}\n")).context("write the boot id")?;
        let log = File::options().create(true).append(true).open(self.folder.join("agent.log"))?;
        command(&self.agent)
            .arg("--config")
            .arg(self.folder.join("agent.toml"))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // ^C on the terminal is for the sandbox, which ends its agents itself.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {} by setpriv", self.agent.display()))
    }
}
