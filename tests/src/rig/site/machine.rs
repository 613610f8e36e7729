//! A machine: a fake systemd, the agent in this process, and what its units are to the cluster; from boot to boot.

mod configuration;

use std::{
    fs,
    future::ready,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};
use tonic::transport::Endpoint;
use usher_agent::{
    agent::{Agent, Edges},
    caller::Caller,
    config::Config,
    disk::{Disk, MemoryDisk},
    door::{Door, LocalDoor, LocalWay},
    local::Client,
    machine::{Places, bus::Address},
};
use usher_common::stream::{BoxedStream, Dial};
use usher_proto::v1::{RequestRestartRequest, SetHoldRequest};

use super::Journal;
use crate::{
    apiserver::{ApiServer, Candidate, Election, Instance},
    etcd::FakeEtcd,
    systemd::{FakeSystemd, Reboot, accompany},
};

/// The units of a control-plane machine.
pub const KUBE_APISERVER: &str = "kube-apiserver.service";
/// Releases its Lease when it ends.
pub const KUBE_SCHEDULER: &str = "kube-scheduler.service";
/// The unit of its member of etcd, where the site has one.
pub const ETCD: &str = "etcd.service";
/// Keeps it.
pub const KUBE_CONTROLLER_MANAGER: &str = "kube-controller-manager.service";

/// How long systemd needs for a job.
const JOB_TAKES: Duration = Duration::from_secs(1);
/// From an apiserver's start until it is ready.
const READY_AFTER: Duration = Duration::from_secs(2);
/// Longer than anybody waits.
const NEVER: Duration = Duration::from_secs(86_400);
/// From the reboot call to the end of everything on the machine, and from there to its next boot.
const GOES_DOWN_AFTER: Duration = Duration::from_millis(500);
const BOOT_TAKES: Duration = Duration::from_secs(30);
/// Instances that are not to lead at first begin later.
const HEAD_START: Duration = Duration::from_secs(1);
/// What a connection holds that was not read yet.
const BUFFER: usize = 64 * 1024;

/// What a unit is beside its process.
pub(super) enum Kind {
    /// Nothing.
    Plain,
    /// An apiserver.
    ApiServer(Instance),
    /// An instance of an elected component, and whether it leads at first.
    Elected(Election, bool),
    /// A member of etcd, of the machine's name.
    Etcd(FakeEtcd),
}

impl Kind {
    fn etcd(&self) -> Option<&FakeEtcd> {
        if let Self::Etcd(etcd) = self { Some(etcd) } else { None }
    }
}

/// What a machine is made of.
pub(super) struct Setup<'a> {
    pub(super) name: &'static str,
    pub(super) number: usize,
    pub(super) folder: &'a Path,
    pub(super) api: &'a ApiServer,
    pub(super) journal: &'a Journal,
    pub(super) components: Vec<(&'static str, Kind)>,
}

/// A machine of the site. It ends, with its agent, when it is dropped.
pub struct Machine {
    /// Its systemd and login1.
    pub systemd: FakeSystemd,
    folder: PathBuf,
    disk: MemoryDisk,
    door: Doorstep,
    reboot: Reboot,
    power: Power,
    apiserver: Option<Instance>,
    /// From an apiserver's next starts until it is ready.
    ready_after: watch::Sender<Duration>,
    _tasks: JoinSet<()>,
}

impl Machine {
    pub(super) async fn start(setup: Setup<'_>) -> Self {
        let Setup { name, number, folder, api, journal, components } = setup;
        let folder = folder.join(name);
        fs::create_dir(&folder).unwrap();
        let units: Vec<_> = components.iter().map(|(unit, _)| *unit).collect();
        let etcd = components.iter().find_map(|(_, kind)| kind.etcd().cloned());
        configuration::write(&folder, name, &units, etcd.as_ref());

        let systemd = FakeSystemd::numbered(u64::try_from(number).unwrap());
        for unit in &units {
            systemd.add_unit(unit);
            systemd.set_unit(unit, |unit| unit.takes = JOB_TAKES);
        }
        let noted = journal.clone();
        systemd.on_job(move |job| noted.note(&format!("{name}: {job}")));
        let (asked, reboots) = mpsc::unbounded_channel();
        let power = Power { name, journal: journal.clone(), asked };
        let reboot = power.reboot();
        systemd.on_reboot(reboot.clone());

        let (door, disk) = (Doorstep::default(), MemoryDisk::default());
        let life = Life {
            name,
            folder: folder.clone(),
            disk: disk.clone(),
            systemd: systemd.clone(),
            api: api.clone(),
            door: door.clone(),
            etcd,
        };
        life.boot(1).await;
        let mut tasks = JoinSet::new();
        let (mut apiserver, ready_after) = (None, watch::Sender::new(READY_AFTER));
        for (unit, kind) in components {
            if let Kind::ApiServer(instance) = &kind {
                apiserver = Some(instance.clone());
            }
            tasks.spawn(play(name, unit, kind, systemd.clone(), ready_after.subscribe()));
        }
        tasks.spawn(life.run(reboots));
        Self { systemd, folder, disk, door, reboot, power, apiserver, ready_after, _tasks: tasks }
    }

    /// The apiserver on it.
    pub fn apiserver(&self) -> Option<&Instance> {
        self.apiserver.as_ref()
    }

    /// The apiserver on it is not ready any more after its next start.
    pub fn apiserver_is_never_ready_again(&self) {
        self.ready_after.send_replace(NEVER);
    }

    /// Holds it: its agent refuses everything but starts.
    pub fn hold(&self, why: &str) {
        self.disk.write(&self.folder.join("hold"), why).unwrap();
    }

    /// Root on it asks for the restart of a unit, as a renewal of certificates does.
    pub async fn wants_restart(&self, unit: &str, reason: &str) {
        let request = RequestRestartRequest {
            unit: unit.to_owned(),
            reason: reason.to_owned(),
            requester: "root@machine".to_owned(),
            if_sole: false,
        };
        self.root().await.local.request_restart(request).await.unwrap();
    }

    /// Root on it holds it through its agent.
    pub async fn is_held_by(&self, owner: &str, reason: &str) {
        let (owner, reason, requester) = (owner.to_owned(), reason.to_owned(), "root@machine".to_owned());
        let request = SetHoldRequest { owner, reason, lasts: None, requester };
        self.root().await.local.set_hold(request).await.unwrap();
    }

    async fn root(&self) -> Client {
        let door = self.door();
        let connector = tower::service_fn(move |_| {
            let stream = door.open_for_root().map(TokioIo::new);
            async move { stream }
        });
        Client::over(Endpoint::from_static("http://machine").connect_with_connector(connector).await.unwrap())
    }

    /// Its agent ends, and nobody starts another one in this boot.
    pub fn loses_its_agent(&self) {
        self.door.inner().process = None;
    }

    /// Told to reboot, it goes down and never comes back.
    pub fn stays_down(&self) {
        self.door.inner().never_boots = true;
    }

    /// Told to reboot it goes down, and login1's answer is lost.
    pub fn loses_the_answer_to_its_reboot(&self) {
        if let Reboot::Calls(machine) = self.reboot.clone() {
            self.systemd.on_reboot(Reboot::AnswerLost(machine));
        }
    }

    /// Loses its power for a moment, and boots again.
    pub fn loses_its_power(&self) {
        self.power.cycle("lost its power");
    }

    /// The program of this unit belongs to a Debian package, which is installed in this version.
    pub fn has_package(&self, unit: &str, package: &str, version: &str) {
        let program = format!("/usr/bin/{package}");
        self.systemd.set_unit(unit, |unit| unit.program = program.clone());
        let write = |name: &str, text: &str| self.disk.write(&self.folder.join("dpkg").join(name), text).unwrap();
        write(&format!("info/{package}.list"), &format!("/.\n{program}\n"));
        write("status", &format!("Package: {package}\nStatus: install ok installed\nVersion: {version}\n"));
    }

    pub(super) fn door(&self) -> Doorstep {
        self.door.clone()
    }
}

/// The boot id of a machine's n-th boot.
pub(super) fn boot_id(name: &str, boot: usize) -> String {
    format!("{boot}-boot-of-{name}")
}

/// What takes a machine down and boots it again.
#[derive(Clone)]
struct Power {
    name: &'static str,
    journal: Journal,
    asked: mpsc::UnboundedSender<()>,
}

impl Power {
    fn cycle(&self, why: &str) {
        self.journal.note(&format!("{}: {why}", self.name));
        // Nobody listens any more only when the site ends.
        let _ = self.asked.send(());
    }

    fn reboot(&self) -> Reboot {
        let power = self.clone();
        Reboot::Calls(Arc::new(move || power.cycle("reboot")))
    }
}

/// Plays a unit for as long as this runs.
async fn play(
    machine: &'static str,
    unit: &'static str,
    kind: Kind,
    systemd: FakeSystemd,
    ready_after: watch::Receiver<Duration>,
) {
    match kind {
        Kind::Plain => {}
        Kind::ApiServer(instance) => {
            let start = async || instance.start(*ready_after.borrow());
            accompany(&systemd, unit, start, async |()| instance.stop()).await;
        }
        Kind::Etcd(etcd) => {
            accompany(&systemd, unit, || ready(etcd.start(machine)), async |()| etcd.stop(machine)).await;
        }
        Kind::Elected(election, leads_at_first) => {
            if !leads_at_first {
                sleep(HEAD_START).await;
            }
            accompany(&systemd, unit, || ready(election.start(machine)), Candidate::terminate).await;
        }
    }
}

/// Where connections to the machine's agent are made. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Doorstep(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// The agent, while there is one.
    process: Option<Process>,
    never_boots: bool,
}

/// An agent and the connections to it. All end when it is dropped, as with the machine.
struct Process {
    _agent: Agent,
    disk: MemoryDisk,
    incoming: mpsc::UnboundedSender<(BoxedStream, SocketAddr)>,
    /// Root's way to it.
    local: mpsc::UnboundedSender<(BoxedStream, u32)>,
    connections: JoinSet<()>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // What of it still runs writes nothing any more.
        self.disk.detach();
    }
}

impl Doorstep {
    /// A new connection.
    pub(super) fn open(&self) -> io::Result<BoxedStream> {
        let mut inner = self.inner();
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let process = inner.process.as_mut().ok_or_else(refused)?;
        let ((ours, mut near), (mut far, theirs)) = (duplex(BUFFER), duplex(BUFFER));
        process.connections.spawn(async move {
            // A side that hung up ends the connection, nothing else.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
        process.incoming.send((Box::new(theirs), ([127, 0, 0, 1], 40000).into())).map_err(|_| refused())?;
        Ok(Box::new(ours))
    }

    /// A new connection of root's on the machine.
    fn open_for_root(&self) -> io::Result<DuplexStream> {
        let inner = self.inner();
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let process = inner.process.as_ref().ok_or_else(refused)?;
        let (ours, theirs) = duplex(BUFFER);
        process.local.send((Box::new(theirs), 0)).map_err(|_| refused())?;
        Ok(ours)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine from boot to boot.
struct Life {
    name: &'static str,
    folder: PathBuf,
    disk: MemoryDisk,
    systemd: FakeSystemd,
    api: ApiServer,
    door: Doorstep,
    etcd: Option<FakeEtcd>,
}

impl Life {
    async fn run(self, mut reboots: mpsc::UnboundedReceiver<()>) {
        for boot in 2.. {
            if reboots.recv().await.is_none() {
                return;
            }
            sleep(GOES_DOWN_AFTER).await;
            self.door.inner().process = None;
            self.api.power_off(self.name);
            for unit in self.systemd.units() {
                self.systemd.set_unit(&unit, |unit| unit.active_state = "inactive".to_owned());
            }
            sleep(BOOT_TAKES).await;
            if self.door.inner().never_boots {
                return;
            }
            self.systemd.boot();
            self.boot(boot).await;
            self.api.boot(self.name, &boot_id(self.name, boot));
        }
    }

    /// Starts the agent in this boot.
    async fn boot(&self, boot: usize) {
        let disk = self.disk.attach();
        disk.write(&self.folder.join("boot_id"), boot_id(self.name, boot)).unwrap();
        let file = self.folder.join("agent.toml");
        let config = Config::load(&file).unwrap();
        let (incoming, streams) = mpsc::unbounded_channel();
        let (local, local_streams) = mpsc::unbounded_channel();
        let edges = Edges {
            door: Door::Streams { incoming: streams, caller: Some(Caller::named(["CN=operator"])) },
            local: Some(LocalDoor { way: LocalWay::Streams(local_streams), uids: [0].into() }),
            bus: Address::Open(self.systemd.connect().await.unwrap()),
            disk: Disk::Memory(disk.clone()),
            places: Places {
                journalctl: "false".into(),
                reboot_required: self.folder.join("reboot-required"),
                boot: self.folder.join("boot"),
                dpkg: self.folder.join("dpkg"),
            },
            dial: self.etcd.as_ref().map_or_else(Dial::tcp, |etcd| etcd.dial(self.name)),
            ..Edges::of(&config)
        };
        let agent = Agent::start_on(file, config, edges).await.unwrap();
        self.door.inner().process = Some(Process { _agent: agent, disk, incoming, local, connections: JoinSet::new() });
    }
}
