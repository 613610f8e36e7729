//! A machine: a fake systemd, the agent in this process, and what its units are to the cluster; from boot to boot.

mod configuration;

use std::{
    fs,
    future::ready,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tonic::transport::Endpoint;
use usher_agent::{disk::MemoryDisk, local::Client};
use usher_common::stream::Dial;
use usher_proto::v1::{RequestRestartRequest, SetHoldRequest};

use super::{
    Journal, Ports,
    door::Doorstep,
    life::{Life, Power},
};
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
/// Instances that are not to lead at first begin later.
const HEAD_START: Duration = Duration::from_secs(1);

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
    pub(super) ports: Option<&'a Ports>,
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

impl Drop for Machine {
    fn drop(&mut self) {
        self.systemd.end();
    }
}

/// Handles to the parts of a machine. Clones are the same.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) systemd: FakeSystemd,
    /// Its paths are below the folder.
    pub(crate) disk: MemoryDisk,
    pub(crate) folder: PathBuf,
    pub(crate) door: Doorstep,
    pub(crate) power: Power,
    pub(crate) apiserver: Option<Instance>,
}

impl Hands {
    /// Ends the agent at this very moment, be it from within; systemd starts another one.
    pub(crate) fn kill_agent(&self) {
        self.door.end_agent();
        self.power.agent_died();
    }
}

impl Machine {
    pub(super) async fn start(setup: Setup<'_>) -> Self {
        let Setup { name, number, folder, api, journal, components, ports } = setup;
        let folder = folder.join(name);
        fs::create_dir(&folder).unwrap();
        let units: Vec<_> = components.iter().map(|(unit, _)| *unit).collect();
        let etcd = components.iter().find_map(|(_, kind)| kind.etcd().cloned());
        let ports = ports.filter(|_| units.contains(&KUBE_APISERVER));
        configuration::write(&folder, name, &units, (etcd.as_ref(), ports.is_some()));
        let dial = match (&etcd, ports) {
            (Some(etcd), _) => etcd.dial(name),
            (None, Some(ports)) => ports.dial(name),
            (None, None) => Dial::tcp(),
        };

        let systemd = FakeSystemd::numbered(u64::try_from(number).unwrap());
        for unit in &units {
            systemd.add_unit(unit);
            systemd.set_unit(unit, |unit| unit.takes = JOB_TAKES);
        }
        let noted = journal.clone();
        systemd.on_job(move |job| noted.note(&format!("{name}: {job}")));
        let (power, happens) = Power::new(name, journal.clone());
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
            dial,
        };
        life.start_agent(1).await;
        let mut tasks = JoinSet::new();
        let (mut apiserver, ready_after) = (None, watch::Sender::new(READY_AFTER));
        for (unit, kind) in components {
            if let Kind::ApiServer(instance) = &kind {
                apiserver = Some(instance.clone());
            }
            tasks.spawn(play(name, unit, kind, systemd.clone(), ready_after.subscribe()));
        }
        tasks.spawn(life.run(happens));
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
        self.door.end_agent();
    }

    /// Told to reboot, it goes down and never comes back.
    pub fn stays_down(&self) {
        self.door.set_never_boots();
    }

    /// Told to reboot it goes down, and login1's answer is lost.
    pub fn loses_the_answer_to_its_reboot(&self) {
        if let Reboot::Calls(machine) = self.reboot.clone() {
            self.systemd.on_reboot(Reboot::AnswerLost(machine));
        }
    }

    /// Loses its power for a moment, and boots again.
    pub fn loses_its_power(&self) {
        self.power.fail();
    }

    /// The program of this unit belongs to a Debian package, which is installed in this version.
    pub fn has_package(&self, unit: &str, package: &str, version: &str) {
        let program = format!("/usr/bin/{package}");
        self.systemd.set_unit(unit, |unit| unit.program = program.clone());
        let write = |name: &str, text: &str| self.disk.write(&self.folder.join("dpkg").join(name), text).unwrap();
        write(&format!("info/{package}.list"), &format!("/.\n{program}\n"));
        write("status", &format!("Package: {package}\nStatus: install ok installed\nVersion: {version}\n"));
    }

    /// Its agent is killed, and started again 2 s later, as its unit says.
    pub fn kills_its_agent(&self) {
        self.hands().kill_agent();
    }

    /// What a simulation needs of it to reach in from elsewhere, also from another task.
    pub(crate) fn hands(&self) -> Hands {
        Hands {
            systemd: self.systemd.clone(),
            disk: self.disk.clone(),
            folder: self.folder.clone(),
            door: self.door.clone(),
            power: self.power.clone(),
            apiserver: self.apiserver.clone(),
        }
    }

    pub(super) fn door(&self) -> Doorstep {
        self.door.clone()
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
            accompany(&systemd, unit, async || etcd.start(machine), async |()| etcd.stop(machine)).await;
        }
        Kind::Elected(election, leads_at_first) => {
            if !leads_at_first {
                sleep(HEAD_START).await;
            }
            accompany(&systemd, unit, || ready(election.start(machine)), Candidate::terminate).await;
        }
    }
}
