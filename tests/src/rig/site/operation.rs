//! The one way through which tests run an operation: usher's library from the first facts to the release of the lock, and
//! what an operator would be told.

use std::time::Duration;

use tokio::time::Instant;
use usher_coordinator::{
    cluster::{Lock, LockRequest},
    drain::DrainOptions,
    event::{Event, Events, Kind},
    exit::Exit,
    interrupt::Interrupt,
    plan::{self, Plan, RebootRequest, Request, RestartRequest, TurnId},
    report,
    runner::{Outcome, Run},
    steps::{Mandate, Policy},
    world::{Scope, World},
};

use super::{TestSite, still::still_during_commands};

/// The operation's id in all tests.
const OPERATION: &str = "op1";

/// What usher is asked for.
#[derive(Debug, Clone)]
pub struct Change {
    command: &'static str,
    request: Request,
    policy: Policy,
    scope: Scope,
    locked: bool,
}

/// `usher restart COMPONENT...`
pub fn restart(components: &[&str]) -> Change {
    let request = RestartRequest {
        components: owned(components),
        machines: Vec::new(),
        gap: Duration::from_secs(10),
        handover: true,
        assumed: Vec::new(),
    };
    let scope = Scope { control_plane: true, ..Scope::default() };
    Change { scope, ..change("restart", Request::Restart(request)) }
}

/// `usher reboot MACHINE...`
pub fn reboot(machines: &[&str]) -> Change {
    let request = RebootRequest {
        machines: owned(machines),
        impolite: false,
        keep_cordoned: false,
        handover: true,
        override_blockers: Vec::new(),
    };
    let control_plane = machines.iter().any(|machine| super::CONTROL_PLANE.contains(machine));
    let scope = Scope { control_plane, machines: owned(machines).into_iter().collect(), all: false };
    Change { scope, ..change("reboot", Request::Reboot(request)) }
}

/// `usher cordon NODE...`
pub fn cordon(nodes: &[&str]) -> Change {
    Change { locked: false, ..change("cordon", Request::Cordon(owned(nodes))) }
}

/// `usher drain NODE...`
pub fn drain(nodes: &[&str]) -> Change {
    change("drain", Request::Drain { nodes: owned(nodes), concurrency: 1 })
}

fn change(command: &'static str, request: Request) -> Change {
    let policy = Policy { drain: DrainOptions::default(), override_blockers: Vec::new(), without_leader: Vec::new() };
    Change { command, request, policy, scope: Scope::default(), locked: true }
}

impl Change {
    /// `--nodes`
    #[must_use]
    pub fn on(mut self, machines: &[&str]) -> Self {
        if let Request::Restart(request) = &mut self.request {
            request.machines = owned(machines);
        }
        self
    }

    /// `--gap`
    #[must_use]
    pub fn gap(mut self, gap: Duration) -> Self {
        if let Request::Restart(request) = &mut self.request {
            request.gap = gap;
        }
        self
    }

    /// `--handover=false`
    #[must_use]
    pub fn without_handover(mut self) -> Self {
        match &mut self.request {
            Request::Restart(request) => request.handover = false,
            Request::Reboot(request) => request.handover = false,
            _ => {}
        }
        self
    }

    /// `--timeout`
    #[must_use]
    pub fn drain_within(mut self, timeout: Duration) -> Self {
        self.policy.drain.timeout = timeout;
        self
    }

    /// `--impolite`
    #[must_use]
    pub fn impolite(mut self) -> Self {
        if let Request::Reboot(request) = &mut self.request {
            request.impolite = true;
        }
        self
    }
}

/// What to do about something that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    GoOn,
    /// `^C`
    Interrupt,
}

/// What the operator was told.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// What state things are in, in one sentence.
    pub summary: String,
    /// More of it.
    pub details: Vec<String>,
    /// What to do next.
    pub next: Vec<String>,
    /// Events in words, without those that only say what is waited for: `cp2: restart: healthy`, `w1: drain failed: …`.
    pub told: Vec<String>,
    /// The machines whose turns are done, in order.
    pub done: Vec<String>,
    /// How long it took, on the site's clock.
    pub took: Duration,
}

impl Ended {
    /// What was told with one of these words in it, in order.
    pub fn only(&self, words: &[&str]) -> Vec<&str> {
        self.told.iter().map(String::as_str).filter(|line| words.iter().any(|word| line.contains(word))).collect()
    }
}

impl TestSite {
    /// Runs a change to its end.
    pub async fn run(&self, change: Change) -> Ended {
        self.run_and(change, |_| Then::GoOn).await
    }

    /// The same, and interrupts it as soon as this is told: `w1: drain` when its drain begins.
    pub async fn run_until(&self, change: Change, moment: &str) -> Ended {
        let mut met = false;
        let ended = self.run_and(change, |told| {
            met |= told == moment;
            if met { Then::Interrupt } else { Then::GoOn }
        });
        let ended = ended.await;
        assert!(met, "{moment:?} was never told: {:#?}", ended.told);
        ended
    }

    /// The same; `on` hears all that is told, waiting included, and may meddle with the site.
    pub async fn run_and(&self, change: Change, on: impl FnMut(&str) -> Then) -> Ended {
        still_during_commands(self.operate(change, on)).await
    }

    async fn operate(&self, change: Change, mut on: impl FnMut(&str) -> Then) -> Ended {
        let begun = Instant::now();
        let cluster = self.cluster();
        let world = World::open_over(self.settings.clone(), cluster.clone(), self.dial()).await.unwrap();
        let planned = self.plan(&world, &change).await;
        let lock = match (planned, change.locked) {
            (Err(refused), _) => return refused,
            (Ok(_), false) => None,
            (Ok(epoch), true) => {
                let request = LockRequest {
                    operation: OPERATION.into(),
                    requester: "ann@host".into(),
                    reason: "test".into(),
                    task_id: None,
                    above_epoch: epoch,
                };
                Some(cluster.acquire_lock(&request).await.unwrap())
            }
        };
        let facts = world.facts(&change.scope).await.unwrap();
        let plan = match plan::make(&change.request, &[], &facts, &world.site) {
            Ok(plan) => plan,
            Err(refusal) => {
                release(lock).await;
                return refused(&refusal);
            }
        };
        let (told, outcome) = run(&world, &change, lock.as_ref(), plan, &mut on).await;
        release(lock).await;
        let took = begun.elapsed();
        let (summary, next) = report::summary(&change.request, &outcome, took, "test");
        let done = outcome.done.into_iter().map(|(machine, _): TurnId| machine).collect();
        Ended { exit: outcome.exit, summary, details: outcome.details, next, told, done, took }
    }

    /// The plan that the operator would see; gives the highest epoch of the agents.
    async fn plan(&self, world: &World, change: &Change) -> Result<u64, Ended> {
        let facts = world.first_facts(&change.scope).await.unwrap();
        plan::make(&change.request, &[], &facts, &world.site).map_err(|refusal| refused(&refusal))?;
        Ok(facts.highest_epoch())
    }
}

async fn run(
    world: &World,
    change: &Change,
    lock: Option<&Lock>,
    plan: Plan,
    on: &mut impl FnMut(&str) -> Then,
) -> (Vec<String>, Outcome) {
    let epoch = lock.map(Lock::epoch).unwrap_or_default();
    let mandate = Mandate::new(OPERATION.into(), change.command, "test".into(), None, "ann@host".into(), epoch);
    let (stop, interrupt) = Interrupt::by_hand();
    let (events, mut stream) = Events::new();
    let running = Run {
        world,
        request: &change.request,
        mandate: &mandate,
        policy: &change.policy,
        scope: &change.scope,
        lock,
        interrupt: &interrupt,
        events: &events,
    };
    let mut reader = Reader::default();
    let mut hear = |event: &Event, reader: &mut Reader| {
        if let Some(line) = reader.read(event)
            && on(&line) == Then::Interrupt
        {
            stop.send_replace(1);
        }
    };
    let outcome = {
        let mut running = std::pin::pin!(running.to_end(plan));
        loop {
            tokio::select! {
                biased;
                Some(event) = stream.recv() => hear(&event, &mut reader),
                outcome = &mut running => break outcome,
            }
        }
    };
    drop(events);
    while let Some(event) = stream.recv().await {
        hear(&event, &mut reader);
    }
    (reader.told, outcome)
}

async fn release(lock: Option<Lock>) {
    if let Some(lock) = lock {
        lock.release().await.unwrap();
    }
}

fn refused(refusal: &plan::Refusal) -> Ended {
    Ended {
        exit: Exit::Refused,
        summary: format!("refused: {}", refusal.what),
        details: refusal.details.clone(),
        next: refusal.hints.clone(),
        told: Vec::new(),
        done: Vec::new(),
        took: Duration::ZERO,
    }
}

/// Events in words.
#[derive(Default)]
struct Reader {
    /// The machine of each turn, from 1.
    machines: Vec<String>,
    told: Vec<String>,
}

impl Reader {
    /// The event in words; kept, if it says more than what is waited for.
    fn read(&mut self, event: &Event) -> Option<String> {
        let machine = |turn: &usize| self.machines.get(turn - 1).cloned().unwrap_or_default();
        let line = match &event.kind {
            Kind::TurnBegan { turn, machine, component } => {
                self.machines.resize(self.machines.len().max(*turn), String::new());
                self.machines[turn - 1].clone_from(machine);
                match component {
                    Some(component) => format!("{machine}: begins {component}"),
                    None => format!("{machine}: begins"),
                }
            }
            Kind::StepBegan { turn, step } => format!("{}: {step}", machine(turn)),
            Kind::Waiting { turn, step, what } => return Some(format!("{}: {step} waits: {what}", machine(turn))),
            Kind::Fact { turn, step, what } => format!("{}: {step}: {what}", machine(turn)),
            Kind::StepFailed { turn, step, message, .. } => format!("{}: {step} failed: {message}", machine(turn)),
            Kind::Undone { turn, step, what } => format!("{}: {step} taken back: {what}", machine(turn)),
            Kind::TurnEnded { turn, done: true, .. } => format!("{}: done", machine(turn)),
            Kind::TurnEnded { turn, done: false, .. } => format!("{}: not done", machine(turn)),
            Kind::Warned { message } => format!("warning: {message}"),
            Kind::Began { .. } | Kind::Ended { .. } => return None,
        };
        self.told.push(line.clone());
        Some(line)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
