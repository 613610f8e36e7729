//! The process that looks after one machine, as its firmware and power supply would: it mounts the disk, boots the
//! machine, boots it again when it reboots, and takes its power away when told to by SIGUSR1.

use std::{fs, io, path::PathBuf, process::ExitStatus};

use anyhow::Context;

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    net::UnixDatagram,
    process::{Child, Command},
    signal::unix::{Signal as Signals, SignalKind, signal},
    time::sleep,
};

use super::{
    Folder, Machine, MachineState, Output, POLL, Power, Role, SANDBOX_ADDRESS,
    disk::Disk,
    folder::Settings,
    init,
    nspawn::{self, Message},
    template::fill,
};

/// nspawn's messages are a few lines.
const DATAGRAM: usize = 4096;
/// What a machine needs before its first boot; everything else is put there while it runs.
const NETWORK: &str = include_str!("../../machines/config/host0.network");
/// What a worker's process 1 reads when it starts.
const STOP_TIMEOUT: &str = include_str!("../../machines/config/stop-timeout.conf");

/// Runs a machine until it is switched off. Must be called before any other thread exists: it moves this thread alone
/// into a mount namespace of its own.
///
/// # Errors
/// If the machine cannot be started.
pub fn run(folder: &Folder, machine: &'static Machine) -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make the mounts private")?;
    init::join_cgroup(folder, machine.name)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut supervisor = Supervisor::new(folder, machine)?;
        let result = supervisor.supervise().await;
        supervisor.tell(|state| *state = MachineState { boots: state.boots, ..MachineState::default() })?;
        result
    })
}

struct Supervisor<'a> {
    folder: &'a Folder,
    machine: &'static Machine,
    settings: Settings,
    state: MachineState,
    socket_path: PathBuf,
    socket: UnixDatagram,
    power_cut: Signals,
}

/// Why a boot ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The machine asked to be started again.
    Reboot,
    /// It switched itself off, or its PID 1 died.
    Off,
    /// We took its power.
    PowerLost,
}

impl<'a> Supervisor<'a> {
    fn new(folder: &'a Folder, machine: &'static Machine) -> anyhow::Result<Self> {
        let socket_path = nspawn::notify_socket(machine);
        match fs::remove_file(&socket_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context("old notify socket"),
            _ => {}
        }
        let socket = UnixDatagram::bind(&socket_path).context("cannot listen to nspawn")?;
        let power_cut = signal(SignalKind::user_defined1())?;
        let settings = folder.read_settings()?;
        Ok(Self { folder, machine, settings, state: folder.read_state(machine)?, socket_path, socket, power_cut })
    }

    async fn supervise(&mut self) -> anyhow::Result<()> {
        let disk =
            Disk::mount(&self.folder.machine(self.machine), &self.settings.base.join(self.machine.debian)).await?;
        self.name_machine(&disk).await?;
        let pid = i32::try_from(std::process::id())?;
        loop {
            self.tell(|state| {
                *state =
                    MachineState { power: Power::Booting, boots: state.boots + 1, leader: None, supervisor: Some(pid) };
            })?;
            if self.boot(&disk).await? != End::Reboot {
                break;
            }
            self.wait_until_return_is_allowed().await?;
        }
        disk.unmount().await
    }

    /// Gives a new machine its name and its address.
    async fn name_machine(&self, disk: &Disk) -> anyhow::Result<()> {
        let etc = disk.root().join("etc");
        let network = etc.join("systemd/network/10-host0.network");
        if network.exists() {
            return Ok(());
        }
        fs::write(etc.join("hostname"), format!("{}\n", self.machine.name))?;
        let hosts = super::MACHINES.iter().map(|machine| format!("{} {}\n", machine.address, machine.name));
        let hosts: String = ["127.0.0.1 localhost\n".into(), format!("{SANDBOX_ADDRESS} balancer\n")]
            .into_iter()
            .chain(hosts)
            .collect();
        fs::write(etc.join("hosts"), hosts)?;
        if self.machine.role == Role::Worker {
            fs::create_dir_all(etc.join("systemd/system.conf.d"))?;
            fs::write(etc.join("systemd/system.conf.d/stop-timeout.conf"), STOP_TIMEOUT)?;
        }
        fs::write(network, fill(NETWORK, &[("address", self.machine.address)])?)?;
        disk.sync().await
    }

    /// Runs nspawn once, from power-on to its end.
    async fn boot(&mut self, disk: &Disk) -> anyhow::Result<End> {
        let mut child = Command::new("systemd-nspawn")
            .args(nspawn::arguments(self.folder, &self.settings, self.machine, disk.root()))
            .env("NOTIFY_SOCKET", &self.socket_path)
            .spawn()
            .context("cannot run systemd-nspawn")?;
        let mut datagram = [0; DATAGRAM];
        let mut power_lost = false;
        loop {
            tokio::select! {
                status = child.wait() => return Ok(end(status?, power_lost)),
                length = self.socket.recv(&mut datagram) => {
                    let text = String::from_utf8_lossy(&datagram[..length?]).into_owned();
                    for message in nspawn::messages(&text) {
                        self.hear(message)?;
                    }
                }
                _ = self.power_cut.recv() => {
                    power_lost = true;
                    self.lose_power(disk, &mut child).await?;
                }
            }
        }
    }

    fn hear(&mut self, message: Message) -> anyhow::Result<()> {
        self.tell(|state| match message {
            Message::Leader(pid) => state.leader = Some(pid),
            Message::Ready => state.power = Power::Running,
            Message::Stopping => state.power = Power::Stopping,
        })
    }

    /// Takes the cable first, so that no peer sees a connection being closed; then the disk; then the processor.
    async fn lose_power(&self, disk: &Disk, nspawn: &mut Child) -> anyhow::Result<()> {
        Output::of("ip", &["link", "set", &self.machine.link(), "down"]).await?;
        disk.cut_power().await?;
        match self.state.leader {
            // nspawn itself must not be killed: the machine would live on as its orphan.
            Some(leader) => kill(Pid::from_raw(leader), Signal::SIGKILL).context("cannot kill the machine's PID 1"),
            None => nspawn.start_kill().context("cannot end nspawn"),
        }
    }

    async fn wait_until_return_is_allowed(&mut self) -> anyhow::Result<()> {
        let refusal = self.folder.refusal(self.machine);
        if !refusal.exists() {
            return Ok(());
        }
        self.tell(|state| {
            state.power = Power::HeldDown;
            state.leader = None;
        })?;
        while refusal.exists() {
            sleep(POLL).await;
        }
        Ok(())
    }

    fn tell(&mut self, change: impl FnOnce(&mut MachineState)) -> anyhow::Result<()> {
        change(&mut self.state);
        self.state.write(&self.folder.state(self.machine)).context("cannot write the machine's state")
    }
}

fn end(status: ExitStatus, power_lost: bool) -> End {
    match status.code() {
        _ if power_lost => End::PowerLost,
        Some(nspawn::REBOOT) => End::Reboot,
        _ => End::Off,
    }
}
