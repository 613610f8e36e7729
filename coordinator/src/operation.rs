//! The way of every change: facts, plan, lock, plan again, run, release. It neither asks nor prints: a command does that
//! between [`plan()`] and [`carry_out`], and reads the events.

mod fence;
mod follow_up;
mod nodes;
mod preflight;
mod rights;

use std::time::Duration;

use tokio::time::{Instant, timeout};
use usher_common::chain;
use usher_core::operation::Mandate;

pub use self::{
    fence::fence,
    follow_up::FollowUp,
    nodes::{NodeChange, NodeState},
    preflight::{refusal, short_refusal},
    rights::ask as ask_rights,
};
use crate::{
    cluster::{Lock, LockRequest},
    drain::{Confirm, DrainPreview, Whereabouts, whereabouts},
    event::{Events, Kind},
    exit::Exit,
    facts::Inventory,
    facts::leader::Leadership,
    interrupt::Interrupt,
    left_behind,
    plan::{self, Plan, step::Step},
    problem::Problem,
    rebalance::{RebalancePreview, Rebalancer},
    request::{self, Rebalance, Request},
    runner::{LeftBehind, Outcome, Run},
    world::World,
};

/// Facts older than this are read again before the first turn: an agent that had to be waited for has something to say by now.
const FACTS_LAST: Duration = Duration::from_secs(1);

/// How long an interrupt waits for a write that may be taking the lock.
const TAKEN_MEANWHILE: Duration = Duration::from_secs(2);

/// A plan, the facts that it was made from, and what its drains would find.
#[derive(Debug)]
pub struct Planned {
    pub plan: Plan,
    pub facts: Inventory,
    pub drains: Vec<DrainPreview>,
    /// What a rebalance would move; None if the request is for none.
    pub rebalance: Option<RebalancePreview>,
}

/// An operation that came to its end.
#[derive(Debug)]
pub struct Ended {
    pub outcome: Outcome,
    /// Without what followed.
    pub took: Duration,
    /// What followed its turns; None if nothing was wanted, or it did not come to that.
    pub rebalance: Option<FollowUp>,
    /// The Nodes of the machines of a reboot.
    pub nodes: Vec<NodeChange>,
    /// Who leads each component now, if that was asked.
    pub leaders: Option<Leaders>,
    /// Where the pods that were moved run now.
    pub pods: Option<Whereabouts>,
}

/// Who leads after an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaders {
    /// Component and machine.
    pub now: Vec<(String, String)>,
    /// Whether any of them was another before.
    pub moved: bool,
}

/// Plans a request and changes nothing. `confirm` says how its drains are looked into.
///
/// # Errors
///
/// A right that is missing, a gate that is closed, or facts that cannot be read.
pub async fn plan(world: &World, request: &Request, confirm: Confirm) -> Result<Planned, Problem> {
    plan_with(world, request, confirm, None).await
}

/// The same of a rebalance of which it is known already what would move: the look that found its nodes has told.
///
/// # Errors
///
/// As [`plan()`].
pub async fn plan_with(
    world: &World,
    request: &Request,
    confirm: Confirm,
    moves: Option<RebalancePreview>,
) -> Result<Planned, Problem> {
    let scope = scope(world, request);
    let (rights, facts) = futures::join!(rights::check(world, request), world.first_facts(&scope));
    // A missing right says more than the reading that failed for it.
    let warning = rights?;
    let facts = facts?;
    let mut plan = plan::make(request, &facts, &world.site)?;
    plan.warnings.extend(warning);
    let drained = plan.turns.iter().filter(|turn| turn.steps.contains(&Step::Drain));
    let nodes: Vec<_> = drained.map(|turn| world.node_name(turn.machine()).to_owned()).collect();
    let drains = match request.drain_options(&world.site).filter(|_| !nodes.is_empty()) {
        Some(options) => world.drainer().await.previews(&nodes, &options, confirm).await?,
        None => Vec::new(),
    };
    let rebalance = match (&request.kind, request.drain_options(&world.site)) {
        _ if moves.is_some() => moves,
        (request::Kind::Rebalance(Rebalance { nodes, max_moves, .. }), Some(options)) => {
            Some(Rebalancer::new(&world.drainer().await, &options).preview(nodes, *max_moves).await?)
        }
        _ => None,
    };
    Ok(Planned { plan, facts, drains, rebalance })
}

/// Carries out a request under the operator's name. Takes the lock if the request needs it, and plans again under it: what
/// was true when the operator was asked may not be now.
///
/// # Errors
///
/// If it did not begin: the lock is held, or a gate has closed. And if the operator insists on leaving at once.
pub async fn carry_out(
    world: &World,
    request: &Request,
    (operation, requester): (String, String),
    planned: &Planned,
    interrupt: &Interrupt,
    events: &Events,
) -> Result<Ended, Problem> {
    let lock = match request.needs_lock() {
        true => {
            // In memory of its own, as is the run: they would make a future that few stacks hold.
            let mut acquiring = Box::pin(acquire(world, request, &operation, &requester, &planned.facts));
            tokio::select! {
                biased;
                lock = acquiring.as_mut() => Some(lock?),
                // The lock of a holder that may be dead can take a minute to be had.
                () = interrupt.requested() => {
                    // The write that takes it may be under way: a lock that nobody gives back keeps others waiting.
                    if let Ok(Ok(lock)) = timeout(TAKEN_MEANWHILE, acquiring).await {
                        release(Some(lock), interrupt, events).await;
                    }
                    return Err(Problem::interrupted("before it began"));
                }
            }
        }
        false => None,
    };
    let epoch = lock.as_ref().map(Lock::epoch).unwrap_or_default();
    let mandate = Mandate { operation, requester, epoch };
    let (left, drain) = (LeftBehind::default(), request.drain_options(&world.site).unwrap_or_default());
    let lock_held = lock.as_ref();
    let mandate = &mandate;
    let running = Run {
        world,
        request,
        mandate,
        drain: &drain,
        lock: lock_held,
        interrupt,
        events,
        turns_before: 0,
        left: &left,
    };
    let ended = tokio::select! {
        biased;
        ended = Box::pin(run(&running, planned)) => ended,
        () = interrupt.insisted() => {
            let left = left.now();
            let problem = match left.is_empty() {
                true => Problem::interrupted("left at once: no machine was in its turn"),
                false => Problem::interrupted("left at once: the machines in their turns may be half done"),
            };
            let lines = left.into_iter().flat_map(|left| left_behind::at_once(&left, world));
            Err(problem.details(lines).hint("see how things are: usher status"))
        }
    };
    release(lock, interrupt, events).await;
    ended
}

async fn run(running: &Run<'_>, planned: &Planned) -> Result<Ended, Problem> {
    let Run { world, request, mandate, lock, events, .. } = *running;
    let facts = world.facts(&scope(world, request)).await?;
    let plan = plan::make(request, &facts, &world.site)?;
    let read = Instant::now();
    if let Some(lock) = lock {
        let machines = fence::machines(world, request, &plan);
        fence(world, machines, (lock, &mandate.requester), |warning| events.warn(warning)).await?;
    }
    let is_planned = read.elapsed() < FACTS_LAST;
    let begun = Instant::now();
    events.send(Kind::Began {
        operation: mandate.operation.clone(),
        command: request.verb().to_owned(),
        cluster: world.cluster.name().to_owned(),
        reason: request.reason.clone(),
        requester: mandate.requester.clone(),
        task_id: request.task_id.clone(),
    });
    let outcome = running.to_end(plan, facts, is_planned).await;
    let took = begun.elapsed();
    let leaders = match (&request.kind, outcome.exit) {
        (request::Kind::Restart(_), Exit::Done) => leaders_now(world, request, &planned.facts).await,
        _ => None,
    };
    let rebalance = match outcome.exit {
        Exit::Done => follow_up::rebalance(running, &outcome.done).await,
        _ => None,
    };
    let pods = pods_now(world, &outcome).await;
    let nodes = match &request.kind {
        request::Kind::Reboot(_) => nodes::nodes(world, &outcome, &planned.facts).await,
        _ => Vec::new(),
    };
    Ok(Ended { outcome, took, rebalance, nodes, leaders, pods })
}

fn scope(world: &World, request: &Request) -> crate::facts::Scope {
    request.scope(|machine| world.control_plane().iter().any(|name| name == machine))
}

async fn acquire(
    world: &World,
    request: &Request,
    operation: &str,
    requester: &str,
    facts: &Inventory,
) -> Result<Lock, Problem> {
    let request = lock_request((operation, requester), &request.reason, request.task_id.as_deref(), facts);
    Ok(world.cluster.acquire_lock(&request).await?)
}

/// What an operation asks of the lock: on whose behalf, why, and with a higher epoch than any agent in `facts` has seen.
pub fn lock_request(
    (operation, requester): (&str, &str),
    reason: &str,
    task_id: Option<&str>,
    facts: &Inventory,
) -> LockRequest {
    LockRequest {
        operation: operation.to_owned(),
        requester: requester.to_owned(),
        reason: reason.to_owned(),
        task_id: task_id.map(str::to_owned),
        epochs: facts.epochs(),
    }
}

async fn release(lock: Option<Lock>, interrupt: &Interrupt, events: &Events) {
    let Some(lock) = lock else { return };
    let why = match interrupt.parting(lock.release()).await {
        Some(Ok(())) => return,
        Some(Err(error)) => chain(&error),
        None => "the API did not answer in time".to_owned(),
    };
    events.warn(format!("the lock was not given back and expires by itself: {why}"));
}

async fn leaders_now(world: &World, request: &Request, before: &Inventory) -> Option<Leaders> {
    let after = world.facts(&scope(world, request)).await.ok()?;
    let machine = |leadership: &Leadership| leadership.machine().unwrap_or("nobody").to_owned();
    let now: Vec<_> =
        after.leaders.iter().map(|(component, leadership)| (component.clone(), machine(leadership))).collect();
    let moved = now.iter().any(|(component, now)| before.leaders.get(component).map(machine).as_ref() != Some(now));
    (!now.is_empty()).then_some(Leaders { now, moved })
}

async fn pods_now(world: &World, outcome: &Outcome) -> Option<Whereabouts> {
    let moved: Vec<_> = outcome.moved.values().flatten().cloned().collect();
    if moved.is_empty() {
        return None;
    }
    whereabouts(world.cluster.client(), &moved).await.ok()
}
