//! Everything that the processes of a history share: its log, its chance, its machines, and what is to go wrong at which moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use super::{
    blow::{ApiFault, Blow, Fault, Moment, When},
    check::Rules,
    mutant::Mutant,
    process::Process,
    scene::Scene,
};
use crate::{rig::site::TestSite, systemd::CallMoment};

/// See the module.
pub(crate) struct World {
    this: Weak<Self>,
    scene: Scene,
    latency: Option<Duration>,
    chance: Mutex<fastrand::Rng>,
    log: Mutex<Vec<String>>,
    /// How many things the world has seen, and how many when the first coordinator ran last.
    seen: AtomicUsize,
    seen_before: AtomicUsize,
    looks: AtomicUsize,
    requests: AtomicUsize,
    /// All moments so far, with their machines.
    moments: Mutex<Vec<Moment>>,
    faults: Vec<Fault>,
    rules: Mutex<Rules>,
    processes: Mutex<Vec<Process>>,
    ways: BTreeMap<&'static str, Way>,
    api_is_there: watch::Sender<bool>,
    mutant: Option<Mutant>,
    /// The ids of calls that have gone to agents, for a mutant.
    ids: Mutex<BTreeSet<Vec<u8>>>,
}

/// The way to a machine.
struct Way {
    /// Whether packets get through.
    joined: watch::Sender<bool>,
    /// Counts the resets of its connections.
    resets: watch::Sender<u64>,
    /// The machine at its address.
    leads_to: watch::Sender<&'static str>,
}

/// What a world is made of.
pub(super) struct Setup {
    pub(super) seed: u64,
    /// The longest time that a packet takes.
    pub(super) latency: Option<Duration>,
    pub(super) faults: Vec<Fault>,
    pub(super) mutant: Option<Mutant>,
}

impl Way {
    /// From now on connections go to this machine; those that were open end.
    fn lead_to(&self, machine: &'static str) {
        self.leads_to.send_replace(machine);
        self.resets.send_modify(|count| *count += 1);
    }
}

impl World {
    /// The world of a site that has settled.
    pub(super) fn around(site: &TestSite, setup: Setup) -> Arc<Self> {
        let Setup { seed, latency, faults, mutant } = setup;
        let way = |name| {
            (
                name,
                Way {
                    joined: watch::Sender::new(true),
                    resets: watch::Sender::new(0),
                    leads_to: watch::Sender::new(name),
                },
            )
        };
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            scene: Scene::of(site),
            latency,
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
            log: Mutex::default(),
            seen: AtomicUsize::new(0),
            seen_before: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            moments: Mutex::default(),
            faults,
            rules: Mutex::default(),
            processes: Mutex::default(),
            ways: site.machine_names().map(way).collect(),
            api_is_there: watch::Sender::new(true),
            mutant,
            ids: Mutex::default(),
        })
    }

    /// What is there to be looked at.
    pub(super) fn scene(&self) -> &Scene {
        &self.scene
    }

    pub(super) fn mutant(&self) -> Option<Mutant> {
        self.mutant
    }

    pub(super) fn rules(&self) -> MutexGuard<'_, Rules> {
        locked(&self.rules)
    }

    /// A new coordinator for the operation of this name.
    pub(super) fn coordinator(&self, operation: &str) -> Process {
        let process = Process::new(operation);
        locked(&self.processes).push(process.clone());
        process
    }

    /// How many requests dead processes have begun.
    pub(super) fn ghosts(&self) -> usize {
        locked(&self.processes).iter().map(Process::ghosts).sum()
    }

    /// Adds a line to the log.
    pub(super) fn note(&self, who: &str, what: &str) {
        let line = format!("{:11.6} {who}: {what}", self.scene.now());
        locked(&self.log).push(line);
    }

    pub(super) fn log(&self) -> Vec<String> {
        locked(&self.log).clone()
    }

    /// The world has seen something: the next look of the first coordinator is another one.
    pub(super) fn saw(&self) {
        self.seen.fetch_add(1, Ordering::Relaxed);
    }

    /// How many different looks the first coordinator has had.
    pub(super) fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    pub(super) fn moments(&self) -> Vec<Moment> {
        locked(&self.moments).clone()
    }

    /// A process is about to run.
    pub(super) fn looked(&self, process: &Process) {
        let seen = self.seen.load(Ordering::Relaxed);
        if process.name() != FIRST || !process.is_alive() || self.seen_before.swap(seen, Ordering::Relaxed) == seen {
            return;
        }
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        self.strike_at(When::Look(look), None);
    }

    /// A request to the API arrives.
    pub(super) fn requested(&self) -> Option<ApiFault> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        self.strike_at(When::Request(request), None)
    }

    /// Something is done, or was.
    pub(super) fn moment(&self, moment: &Moment) -> Option<ApiFault> {
        let mut moments = locked(&self.moments);
        moments.push(moment.clone());
        let number = moments.len() - 1;
        drop(moments);
        if moment.machine.is_some() {
            self.note(moment.machine.unwrap_or_default(), &format!("{:?} {}", moment.at, moment.what));
            if moment.at == CallMoment::After {
                self.saw();
            }
        }
        self.strike_at(When::Moment(number), moment.machine)
    }

    fn strike_at(&self, when: When, machine: Option<&'static str>) -> Option<ApiFault> {
        let mut failed = None;
        for fault in self.faults.iter().filter(|fault| fault.when == when) {
            failed = failed.or(self.strike(&fault.blow, machine));
        }
        failed
    }

    /// Lets everything that is to go wrong at a time go wrong then.
    pub(super) fn begin(&self) {
        for fault in &self.faults {
            let (When::Time(time), Some(world)) = (fault.when, self.this.upgrade()) else { continue };
            let blow = fault.blow.clone();
            tokio::spawn(async move {
                sleep(time).await;
                world.strike(&blow, None);
            });
        }
    }

    /// `here` is the machine whose moment it is.
    fn strike(&self, blow: &Blow, here: Option<&'static str>) -> Option<ApiFault> {
        self.note("fault", &format!("{blow:?}"));
        let first = locked(&self.processes).first().cloned();
        match (blow, first) {
            (Blow::Kill, Some(first)) => first.kill(),
            (Blow::Freeze(time), Some(first)) => {
                first.freeze();
                self.later(*time, move |_| first.thaw());
            }
            (Blow::Kill | Blow::Freeze(_), None) => {}
            (Blow::KillAgent(machine), _) => {
                if let Some(machine) = machine.or(here) {
                    self.scene.hands(machine).kill_agent();
                }
            }
            (Blow::Reset(machine), _) => self.ways[machine].resets.send_modify(|count| *count += 1),
            (Blow::Partition(machine, time), _) => {
                let machine = *machine;
                self.ways[machine].joined.send_replace(false);
                self.later(*time, move |world| _ = world.ways[machine].joined.send_replace(true));
            }
            (Blow::Misrouted(machine, other, time), _) => {
                let machine = *machine;
                self.ways[machine].lead_to(other);
                self.later(*time, move |world| world.ways[machine].lead_to(machine));
            }
            (Blow::NoApi(time), _) => {
                self.api_is_there.send_replace(false);
                self.scene.api().cut_watches();
                self.later(*time, |world| _ = world.api_is_there.send_replace(true));
            }
            (Blow::PowerLoss(machine), _) => {
                self.rules().lost_power(machine);
                self.scene.hands(machine).power.fail_at_once();
            }
            (Blow::NotReady(machine, time), _) => {
                if let Some(apiserver) = &self.scene.hands(machine).apiserver {
                    apiserver.start(*time);
                }
            }
            (Blow::CordonedByHand(node), _) => super::by_hand::cordon(self.scene.api(), node),
            (Blow::Api(fault), _) => return Some(*fault),
        }
        None
    }

    fn later(&self, time: Duration, then: impl FnOnce(&Self) + Send + 'static) {
        let world = self.this.clone();
        tokio::spawn(async move {
            sleep(time).await;
            if let Some(world) = world.upgrade() {
                then(&world);
            }
        });
    }

    /// What a packet takes.
    pub(super) async fn latency(&self) {
        if let Some(longest) = self.latency {
            let part = locked(&self.chance).f64();
            sleep(longest.mul_f64(part)).await;
        }
    }

    pub(super) fn api_is_there(&self) -> bool {
        *self.api_is_there.borrow()
    }

    /// Waits until packets get through to a machine.
    pub(super) async fn joined(&self, machine: &'static str) {
        let mut joined = self.ways[machine].joined.subscribe();
        // Its sender lives as long as this does.
        let _ = joined.wait_for(|joined| *joined).await;
    }

    /// The machine that who connects to this one reaches.
    pub(super) fn reached_at(&self, machine: &'static str) -> &'static str {
        *self.ways[machine].leads_to.borrow()
    }

    /// Changes with each reset of a machine's connections.
    pub(super) fn resets(&self, machine: &'static str) -> watch::Receiver<u64> {
        self.ways[machine].resets.subscribe()
    }

    /// What a mutant does to the bytes from a coordinator to an agent.
    pub(super) fn forge(&self, bytes: &mut [u8]) {
        if let Some(mutant) = self.mutant {
            mutant.bytes(&mut locked(&self.ids), bytes);
        }
    }
}

/// The name of the first coordinator, at which a history strikes.
pub(super) const FIRST: &str = "op1";

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
