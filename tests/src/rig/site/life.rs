//! The machine from boot to boot: what takes it down, its agent's process, and the boot that follows.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use usher_agent::{
    agent::{Agent, Edges},
    caller::Caller,
    config::Config,
    disk::{Disk, MemoryDisk},
    door::{Door, LocalDoor, LocalWay},
    machine::{Places, bus::Address},
};

use usher_common::stream::Dial;

use super::{
    Journal,
    door::{Doorstep, Process},
};
use crate::{
    apiserver::ApiServer,
    systemd::{FakeSystemd, Line, Reboot},
};

/// From the reboot call to the end of everything on the machine, and from there to its next boot.
const GOES_DOWN_AFTER: Duration = Duration::from_millis(500);
const BOOT_TAKES: Duration = Duration::from_secs(30);
/// After which systemd starts an agent again that has died (RestartSec= of its unit).
const AGENT_STARTS_AFTER: Duration = Duration::from_secs(2);

/// The boot id of a machine's n-th boot.
pub(crate) fn boot_id(name: &str, boot: usize) -> String {
    format!("{boot}-boot-of-{name}")
}

/// What takes a machine down and boots it again. Clones are the same machine's.
#[derive(Clone)]
pub(crate) struct Power {
    name: &'static str,
    journal: Journal,
    happens: mpsc::UnboundedSender<Happens>,
    /// From the reboot call to the end of everything on the machine.
    goes_down_after: watch::Sender<Duration>,
}

/// What happens to a machine.
pub(super) enum Happens {
    /// It goes down after this, and boots.
    Cycle(Duration),
    /// Its agent has died.
    AgentDied,
}

impl Power {
    pub(super) fn new(name: &'static str, journal: Journal) -> (Self, mpsc::UnboundedReceiver<Happens>) {
        let (happens, heard) = mpsc::unbounded_channel();
        let goes_down_after = watch::Sender::new(GOES_DOWN_AFTER);
        (Self { name, journal, happens, goes_down_after }, heard)
    }

    /// It loses its power in a moment, and gets it back.
    pub(super) fn fail(&self) {
        self.journal.note(&format!("{}: lost its power", self.name));
        self.send(Happens::Cycle(GOES_DOWN_AFTER));
    }

    /// It loses its power now, and gets it back.
    pub(crate) fn fail_at_once(&self) {
        self.journal.note(&format!("{}: lost its power", self.name));
        self.send(Happens::Cycle(Duration::ZERO));
    }

    /// Its next reboots take this long before everything on it ends.
    pub(crate) fn goes_down_after(&self, time: Duration) {
        self.goes_down_after.send_replace(time);
    }

    /// What login1 does with it.
    pub(super) fn reboot(&self) -> Reboot {
        let power = self.clone();
        Reboot::Calls(Arc::new(move || {
            power.journal.note(&format!("{}: reboot", power.name));
            power.send(Happens::Cycle(*power.goes_down_after.borrow()));
        }))
    }

    pub(super) fn agent_died(&self) {
        self.send(Happens::AgentDied);
    }

    fn send(&self, happens: Happens) {
        // Nobody listens any more only when the site ends.
        let _ = self.happens.send(happens);
    }
}

/// A machine's life.
pub(super) struct Life {
    pub(super) name: &'static str,
    pub(super) folder: PathBuf,
    pub(super) disk: MemoryDisk,
    pub(super) systemd: FakeSystemd,
    pub(super) api: ApiServer,
    pub(super) door: Doorstep,
    /// The way from its agent to what runs beside it.
    pub(super) dial: Dial,
}

impl Life {
    /// Goes on after the first boot.
    pub(super) async fn run(self, mut happens: mpsc::UnboundedReceiver<Happens>) {
        let mut boot = 1;
        let mut agent_due: Option<Instant> = None;
        loop {
            let due = agent_due.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                happened = happens.recv() => match happened {
                    None => return,
                    Some(Happens::AgentDied) if self.door.has_agent() => {}
                    Some(Happens::AgentDied) => agent_due = Some(Instant::now() + AGENT_STARTS_AFTER),
                    Some(Happens::Cycle(after)) => {
                        self.goes_down(after, agent_due.take(), (boot, &mut happens)).await;
                        self.go_down();
                        sleep(BOOT_TAKES).await;
                        if self.door.never_boots() {
                            return;
                        }
                        boot += 1;
                        self.systemd.boot();
                        self.start_agent(boot).await;
                        self.api.boot(self.name, &boot_id(self.name, boot));
                    }
                },
                () = sleep_until(due), if agent_due.is_some() => {
                    agent_due = None;
                    self.start_agent(boot).await;
                }
            }
        }
    }

    /// Until it is down, an agent that has died is started again. A loss of power ends it at once.
    async fn goes_down(
        &self,
        after: Duration,
        mut agent_due: Option<Instant>,
        (boot, happens): (usize, &mut mpsc::UnboundedReceiver<Happens>),
    ) {
        let down_at = Instant::now() + after;
        loop {
            let due = agent_due.unwrap_or(down_at);
            tokio::select! {
                biased;
                () = sleep_until(down_at) => return,
                happened = happens.recv() => match happened {
                    Some(Happens::AgentDied) => agent_due = Some(Instant::now() + AGENT_STARTS_AFTER),
                    Some(Happens::Cycle(Duration::ZERO)) | None => return,
                    Some(Happens::Cycle(_)) => {}
                },
                () = sleep_until(due), if agent_due.is_some() => {
                    agent_due = None;
                    self.start_agent(boot).await;
                }
            }
        }
    }

    fn go_down(&self) {
        self.door.power_off();
        self.api.power_off(self.name);
        for unit in self.systemd.units() {
            self.systemd.set_unit(&unit, |unit| unit.active_state = "inactive".to_owned());
        }
    }

    /// Starts the agent in this boot.
    pub(super) async fn start_agent(&self, boot: usize) {
        let disk = self.disk.attach();
        disk.write(&self.folder.join("boot_id"), boot_id(self.name, boot)).unwrap();
        let file = self.folder.join("agent.toml");
        let config = Config::load(&file).unwrap();
        let (incoming, streams) = mpsc::unbounded_channel();
        let (local, local_streams) = mpsc::unbounded_channel();
        let line = Line::default();
        let edges = Edges {
            door: Door::Streams { incoming: streams, caller: Some(Caller::named(["CN=operator"])) },
            local: Some(LocalDoor { way: LocalWay::Streams(local_streams), uids: [0].into() }),
            bus: Address::Open(self.systemd.connect_over(&line).await.unwrap()),
            disk: Disk::Memory(disk.clone()),
            places: Places {
                // A process would run in real time. There is none: to start it fails at once.
                journalctl: self.folder.join("journalctl"),
                reboot_required: self.folder.join("reboot-required"),
                boot: self.folder.join("boot"),
                dpkg: self.folder.join("dpkg"),
            },
            dial: self.dial.clone(),
            ..Edges::of(&config)
        };
        let agent = Agent::start_on(file, config, edges).await.unwrap();
        let connections = JoinSet::new();
        self.door.set_agent(Process { _agent: agent, disk, line, incoming, local, connections });
    }
}
