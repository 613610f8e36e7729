//! A history: a seed, what an operator wants, and what goes wrong meanwhile. Equal histories are equal to the byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use tokio::{
    runtime::Builder,
    time::{Instant, sleep, timeout},
};
use usher_common::clock;
use usher_coordinator::{exit::Exit, problem::Problem, world::World as Opened};

use super::{
    after, api,
    blow::{Blow, Fault, Moment},
    check::{Rule, Violation},
    command::Command,
    link, machine,
    mutant::Mutant,
    process::Process,
    world::{FIRST, Setup, World},
};
use crate::{
    apiserver::fixtures,
    rig::site::{CONTROL_PLANE, Ended, TestSite, Then, WORKERS, operate},
};

/// No command takes longer than this, whatever goes wrong.
const LONGEST: Duration = Duration::from_secs(3 * 60 * 60);
/// How often a command is repeated that did not end well, and how long after it.
const REPEATED: usize = 8;
const REPEATED_AFTER: Duration = Duration::from_secs(45);
/// Longer than an agent waits before it starts a unit again, and than usher's lock lasts.
const OVER_WITHIN: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Where the wall clock of each history begins.
const BEGINS_AT: i64 = 1_790_000_000;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What chance is made of.
    pub seed: u64,
    /// The command.
    pub command: Command,
    /// The longest time that a packet or a request takes on its way. None if it takes none.
    pub latency: Option<Duration>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How long a machine that was told to reboot goes on before everything on it ends.
    pub goes_down_after: Duration,
    /// How long after the first coordinator's death the operator repeats the command.
    pub again_after: Duration,
    /// What another operator wants, and how long after the first.
    pub beside: Option<(Duration, Command)>,
    /// What is broken on purpose, to see whether it is found.
    pub mutant: Option<Mutant>,
}

impl History {
    /// One in which nothing goes wrong.
    pub fn undisturbed(command: Command) -> Self {
        let again_after = Duration::from_secs(5);
        let goes_down_after = Duration::from_millis(500);
        Self {
            seed: 1,
            command,
            latency: None,
            faults: Vec::new(),
            goes_down_after,
            again_after,
            beside: None,
            mutant: None,
        }
    }

    /// The same, and another operator wants something so long after.
    #[must_use]
    pub fn beside(self, after: Duration, command: Command) -> Self {
        Self { beside: Some((after, command)), ..self }
    }

    /// The same with something left out of usher.
    #[must_use]
    pub fn without(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    /// The same with one more fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Plays it, on a runtime of its own, on this thread.
    pub fn play(&self) -> Played {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        fastrand::seed(self.seed);
        runtime.block_on(async {
            clock::follow_tokio(Timestamp::from_second(BEGINS_AT).unwrap_or_default());
            clock::has_slept(Duration::ZERO);
            self.happen().await
        })
    }

    async fn happen(&self) -> Played {
        let site = TestSite::start().await;
        if self.command == Command::DrainTwo {
            // Else their pods would have nowhere to go.
            site.api.add(fixtures::node("w3").at("10.77.0.9"));
        }
        let (seed, latency, faults) = (self.seed, self.latency, self.faults.clone());
        let world = World::around(&site, Setup { seed, latency, faults, mutant: self.mutant });
        machine::watch(&world);
        world.scene().machines().for_each(|(_, hands)| hands.power.goes_down_after(self.goes_down_after));
        let stage = Stage { site: &site, world: &world };
        world.begin();

        let other = async {
            let Some((after, command)) = self.beside else { return };
            sleep(after).await;
            stage.until_done(command, "beside").await;
        };
        let first = async {
            let (ended, process) = (stage.once(self.command, FIRST).await, FIRST.to_owned());
            let exit = ended.as_ref().map(|ended| ended.exit);
            // What it was at its end, for sweeps that strike at each of its moments.
            let (looks, moments) = (world.looks(), world.moments());
            let mut operations = vec![process];
            if exit != Some(self.command.ends_with()) {
                sleep(self.again_after).await;
                operations.extend(stage.until_done(self.command, "again").await);
            }
            (exit, looks, moments, operations)
        };
        let ((exit, looks, moments, operations), ()) = tokio::join!(first, other);

        let by_hand = self.faults.iter().filter_map(|fault| match fault.blow {
            Blow::CordonedByHand(node) => Some(node),
            _ => None,
        });
        let by_hand: BTreeSet<_> = by_hand.collect();
        let over = Instant::now();
        let mut left = after::left(&site, self.command, &by_hand);
        while !left.is_empty() && over.elapsed() < OVER_WITHIN {
            sleep(LOOK_EVERY).await;
            left = after::left(&site, self.command, &by_hand);
        }
        // An operator who was told how far it came goes on from there; one whose coordinator was killed can only repeat the command.
        let again = if exit.is_none() { after::done_again(&world, &operations) } else { Vec::new() };
        let mut rules = world.rules();
        left.into_iter().for_each(|(rule, what)| rules.broken(rule, what));
        again.into_iter().for_each(|what| rules.broken(Rule::DoneAgain, what));
        if world.ghosts() > 0 {
            rules.broken(Rule::Ghost, format!("{} requests", world.ghosts()));
        }
        let mut violations = rules.violations().to_vec();
        drop(rules);
        violations.sort();
        violations.dedup();
        let mut log = world.log();
        log.extend(stage.everything());
        Played { exit, violations, log, looks, moments }
    }
}

/// How a history went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// How the first command ended; none if it was killed.
    pub exit: Option<Exit>,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
    /// All that happened, line by line, and then everything that is stored anywhere.
    pub log: Vec<String>,
    /// How many different looks at the world the first command had.
    pub looks: usize,
    /// All moments of the first command.
    pub moments: Vec<Moment>,
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.log {
            writeln!(f, "{line}")?;
        }
        self.violations.iter().try_for_each(|violation| writeln!(f, "{violation}"))
    }
}

/// Where commands are run.
#[derive(Clone, Copy)]
struct Stage<'a> {
    site: &'a TestSite,
    world: &'a Arc<World>,
}

impl Stage<'_> {
    /// Runs a command once, in a process of its own. `None` if that was killed, or never ended.
    async fn once(self, command: Command, operation: &str) -> Option<Ended> {
        let Self { site, world } = self;
        let process = world.coordinator(operation);
        world.note(operation, &format!("{command:?}"));
        let work = timeout(LONGEST, process.lives(|process| world.looked(process), self.work(command, &process)));
        let Ok(lived) = work.await else {
            world.rules().broken(Rule::Hangs, format!("{operation}: {command:?} has not ended within {LONGEST:?}"));
            process.kill();
            return None;
        };
        let Some(ended) = lived else {
            world.note(operation, "killed");
            return None;
        };
        world.note(operation, &format!("{:?}: {}; {:?}; {:?}", ended.exit, ended.summary, ended.details, ended.next));
        after::of_a_command(world, site, command, operation, &ended);
        Some(ended)
    }

    async fn work(self, command: Command, process: &Process) -> Ended {
        let Self { site, world } = self;
        let (cluster, dial) = (api::cluster(world, process), link::dial(world, process));
        let settings = command.settings(site.settings.clone());
        let opened = match Opened::open_over(settings, cluster, dial).await {
            Ok(opened) => opened,
            Err(error) => return Ended::of(Problem::from(error), Vec::new(), Instant::now()),
        };
        let hear = |told: &str| {
            world.note(process.name(), told);
            // What it waits for is no news to anybody else.
            if !told.contains(" waits: ") {
                world.saw();
            }
            Then::GoOn
        };
        operate(&opened, &command.change(), || process.name().to_owned(), hear).await
    }

    /// Repeats a command as an operator does, until it has ended well. The names of its operations.
    async fn until_done(self, command: Command, who: &str) -> Vec<String> {
        let mut operations = Vec::new();
        for number in 1..=REPEATED {
            let operation = format!("{who}{number}");
            let ended = self.once(command, &operation).await;
            operations.push(operation);
            if ended.is_some_and(|ended| ended.exit == command.ends_with()) {
                return operations;
            }
            sleep(REPEATED_AFTER).await;
        }
        self.world.rules().broken(Rule::NotHealed, format!("{who}: {command:?} was tried {REPEATED} times"));
        operations
    }

    /// All that is stored: in the cluster, and on the disks of the machines.
    fn everything(self) -> Vec<String> {
        let Self { site, world } = self;
        fn lines<K: serde::Serialize>(objects: Vec<K>) -> impl Iterator<Item = String> {
            objects.into_iter().map(|object| serde_json::to_string(&object).unwrap_or_default())
        }
        let mut all: Vec<_> = lines(site.api.list::<Node>()).collect();
        all.extend(lines(site.api.list::<Pod>()));
        all.extend(lines(site.api.list::<Lease>()));
        for (machine, hands) in world.scene().machines() {
            all.extend(hands.systemd.jobs().into_iter().map(|job| format!("{machine}: {job}")));
            let files: BTreeMap<_, _> = hands.disk.contents();
            all.extend(files.iter().map(|(path, content)| {
                let path = path.strip_prefix(&hands.folder).unwrap_or(path).display();
                format!("{machine} {path}: {}", String::from_utf8_lossy(content))
            }));
        }
        all
    }
}

/// The machines at which something can go wrong.
pub(super) fn machines() -> impl Iterator<Item = &'static str> {
    CONTROL_PLANE.into_iter().chain(WORKERS)
}
