//! The one way through which tests run an operation: usher's library from the first facts to the release of the lock, and
//! what an operator would be told.

use std::time::Duration;

use tokio::time::Instant;
use usher_coordinator::{
    drain::Confirm,
    event::{Event, Events, Kind},
    exit::Exit,
    interrupt::Interrupt,
    operation::{self, Planned},
    problem::Problem,
    report::Report,
    request::{self, Connection, Eviction, OnNodes, Request},
    world::World,
};

use super::{TestSite, still::still_during_commands};

/// What the operator wants of usher.
#[derive(Debug, Clone)]
pub struct Change(pub request::Kind);

/// `usher restart COMPONENT...`
pub fn restart(components: &[&str]) -> Change {
    Change(request::Kind::Restart(request::Restart {
        components: owned(components),
        machines: Vec::new(),
        gap: None,
        handover: None,
        assumed_leaders: Vec::new(),
        wanted: false,
    }))
}

/// `usher restart --wanted`
pub fn restart_wanted() -> Change {
    let Change(kind) = restart(&[]);
    let request::Kind::Restart(restart) = kind else { unreachable!("a restart") };
    Change(request::Kind::Restart(request::Restart { wanted: true, ..restart }))
}

/// `usher reboot MACHINE...`
pub fn reboot(machines: &[&str]) -> Change {
    Change(request::Kind::Reboot(request::Reboot {
        machines: owned(machines),
        impolite: false,
        keep_cordoned: false,
        handover: None,
        override_blockers: Vec::new(),
        rebalance: false,
        eviction: Eviction::default(),
    }))
}

/// `usher cordon NODE...`
pub fn cordon(nodes: &[&str]) -> Change {
    Change(request::Kind::Cordon(OnNodes { nodes: owned(nodes) }))
}

/// `usher uncordon NODE...`
pub fn uncordon(nodes: &[&str]) -> Change {
    Change(request::Kind::Uncordon(OnNodes { nodes: owned(nodes) }))
}

/// `usher drain NODE...`
pub fn drain(nodes: &[&str]) -> Change {
    let drain = request::Drain { nodes: owned(nodes), concurrency: 1, eviction: Eviction::default() };
    Change(request::Kind::Drain(drain))
}

/// `usher rebalance NODE...`
pub fn rebalance(nodes: &[&str]) -> Change {
    let rebalance = request::Rebalance { nodes: owned(nodes), concurrency: 1, ..request::Rebalance::default() };
    Change(request::Kind::Rebalance(rebalance))
}

impl Change {
    /// The request that it makes.
    pub fn request(&self) -> Request {
        let connection = Connection::default();
        Request { kind: self.0.clone(), reason: "test".into(), task_id: None, connection }
    }

    /// `--rebalance`
    #[must_use]
    pub fn and_rebalance(mut self) -> Self {
        if let request::Kind::Reboot(reboot) = &mut self.0 {
            reboot.rebalance = true;
        }
        self
    }

    /// `--nodes`
    #[must_use]
    pub fn on(mut self, machines: &[&str]) -> Self {
        if let request::Kind::Restart(restart) = &mut self.0 {
            restart.machines = owned(machines);
        }
        self
    }

    /// `--assume-leader COMPONENT=MACHINE`
    #[must_use]
    pub fn led_from(mut self, component: &str, machine: &str) -> Self {
        if let request::Kind::Restart(restart) = &mut self.0 {
            let (component, machine) = (component.to_owned(), Some(machine.to_owned()));
            restart.assumed_leaders.push(request::AssumedLeader { component, machine });
        }
        self
    }

    /// `--gap`
    #[must_use]
    pub fn gap(mut self, gap: Duration) -> Self {
        if let request::Kind::Restart(restart) = &mut self.0 {
            restart.gap = Some(gap);
        }
        self
    }

    /// `--handover=false`
    #[must_use]
    pub fn without_handover(mut self) -> Self {
        match &mut self.0 {
            request::Kind::Restart(restart) => restart.handover = Some(false),
            request::Kind::Reboot(reboot) => reboot.handover = Some(false),
            _ => {}
        }
        self
    }

    /// `--drain-timeout`
    #[must_use]
    pub fn drain_within(mut self, timeout: Duration) -> Self {
        match &mut self.0 {
            request::Kind::Reboot(reboot) => reboot.eviction.drain_timeout = Some(timeout),
            request::Kind::Drain(drain) => drain.eviction.drain_timeout = Some(timeout),
            _ => {}
        }
        self
    }

    /// `--impolite`
    #[must_use]
    pub fn impolite(mut self) -> Self {
        if let request::Kind::Reboot(reboot) = &mut self.0 {
            reboot.impolite = true;
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
    /// `^C` twice.
    Insist,
}

/// What the operator was told.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// What state things are in, in one sentence.
    pub summary: String,
    /// The whole report for people; empty if it did not begin.
    pub text: String,
    /// More of it.
    pub details: Vec<String>,
    /// What to do next.
    pub next: Vec<String>,
    /// Events in words, without those that only say what a step waits for: `cp2: restart: healthy`, `w1: drain failed: …`.
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

impl Ended {
    /// It did not begin.
    pub(crate) fn of(problem: Problem, told: Vec<String>, begun: Instant) -> Self {
        Self {
            exit: problem.exit(),
            summary: problem.message,
            text: String::new(),
            details: problem.details,
            next: problem.hints,
            told,
            done: Vec::new(),
            took: begun.elapsed(),
        }
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
        // In debug builds its state is large, and a test that runs several has all of them in its own.
        still_during_commands(Box::pin(self.operate(change, on))).await
    }

    /// What usher opens for each command.
    pub async fn world(&self) -> World {
        World::open_over(self.settings.clone(), self.cluster(), self.dial()).await.unwrap()
    }

    async fn operate(&self, change: Change, on: impl FnMut(&str) -> Then) -> Ended {
        let world = self.world().await;
        let name = || {
            let number = self.operations.get() + 1;
            self.operations.set(number);
            format!("op{number}")
        };
        operate(&world, &change, name, on).await
    }
}

/// Runs a change in a world that was opened for it. It gets its name once it can begin.
pub(crate) async fn operate(
    world: &World,
    change: &Change,
    name: impl FnOnce() -> String,
    mut on: impl FnMut(&str) -> Then,
) -> Ended {
    let begun = Instant::now();
    let request = change.request();
    let planned = match operation::plan(world, &request, Confirm::Never).await {
        Ok(planned) => planned,
        Err(problem) => return Ended::of(problem, Vec::new(), begun),
    };
    let options = request.drain_options(&world.site).unwrap_or_default();
    if let Some(problem) = operation::refusal(&planned.drains, &options) {
        return Ended::of(problem, Vec::new(), begun);
    }
    let operation = name();
    let (told, report) = carry_out(world, &request, &operation, &planned, &mut on).await;
    match report {
        Err(problem) => Ended::of(problem, told, begun),
        Ok(report) => {
            let text = report.to_text();
            let Report { exit, summary, details, next, done, .. } = report;
            let done = done.iter().map(|target| target.machine().to_owned()).collect();
            Ended { exit, summary, text, details, next, told, done, took: begun.elapsed() }
        }
    }
}

async fn carry_out(
    world: &World,
    request: &Request,
    operation: &str,
    planned: &Planned,
    on: &mut impl FnMut(&str) -> Then,
) -> (Vec<String>, Result<Report, Problem>) {
    let (stop, interrupt) = Interrupt::by_hand();
    let (events, mut stream) = Events::new();
    let mut reader = Reader::default();
    let mut hear = |event: &Event, reader: &mut Reader| match reader.read(event).map(|line| on(&line)) {
        Some(Then::Interrupt) => drop(stop.send_replace(1)),
        Some(Then::Insist) => drop(stop.send_replace(2)),
        Some(Then::GoOn) | None => {}
    };
    let ended = {
        let names = (operation.to_owned(), "ann@host".to_owned());
        let running = operation::carry_out(world, request, names, planned, &interrupt, &events);
        let mut running = std::pin::pin!(running);
        loop {
            tokio::select! {
                biased;
                Some(event) = stream.recv() => hear(&event, &mut reader),
                ended = &mut running => break ended,
            }
        }
    };
    drop(events);
    while let Some(event) = stream.recv().await {
        hear(&event, &mut reader);
    }
    (reader.told, ended.map(|ended| Report::of(operation, world.cluster.name(), request, ended)))
}

/// Events in words.
#[derive(Default)]
struct Reader {
    /// The machine of each turn, from 1.
    machines: Vec<String>,
    told: Vec<String>,
}

impl Reader {
    /// The event in words; kept if it says more than what a step waits for.
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
            Kind::Began { .. } | Kind::ControlPlane { .. } | Kind::Blocked { .. } | Kind::Ended { .. } => return None,
            Kind::Notice { .. } | Kind::Planned { .. } | Kind::Asked { .. } | Kind::Logged { .. } => return None,
        };
        self.told.push(line.clone());
        Some(line)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
