//! The runner: one loop for every kind of operation. [`plan::next`] decides which turns begin; each turn does its steps in
//! order, and if it does not end well, takes back what they changed.

mod account;
mod turn;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::{StreamExt as _, stream, stream::FuturesUnordered};
use tokio::time::Instant;
use usher_core::{drain::DrainOptions, nodeset, operation::Mandate, plan::Begin};

pub use self::account::Outcome;
use self::{account::Account, turn::UnderWay};
use crate::{
    cluster::Lock,
    event::{Events, Kind},
    facts::{Inventory, apiserver::Readiness, leader::Leadership},
    interrupt::Interrupt,
    plan::{self, Left, Plan, Slot, Stage, Turn},
    problem::{Problem, lock_lost},
    request::Request,
    world::World,
};

/// Prepared turns that are taken back at a time.
const TAKEN_BACK_AT_A_TIME: usize = 8;

/// How long turns are taken back although none of them can be: each waits for an API that is away, and hundreds would take hours.
const TAKEN_BACK_IN_VAIN: Duration = Duration::from_secs(60);

/// An operation about to run.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub world: &'a World,
    pub request: &'a Request,
    pub mandate: &'a Mandate,
    /// What its drains may do.
    pub drain: &'a DrainOptions,
    /// None where nothing needs it.
    pub lock: Option<&'a Lock>,
    pub interrupt: &'a Interrupt,
    pub events: &'a Events,
    /// Turns of the same operation that came before: the numbers of these go on from there.
    pub turns_before: usize,
    /// What machines may be left with should the operation be left at once.
    pub left: &'a LeftBehind,
}

/// What the machines in their turns may be left with, as it is at any moment, by the number of the turn.
#[derive(Debug, Default)]
pub struct LeftBehind(RefCell<BTreeMap<usize, Left>>);

impl LeftBehind {
    /// By machine.
    pub fn now(&self) -> Vec<Left> {
        self.0.borrow().values().cloned().collect()
    }

    fn note(&self, turn: usize, left: Left) {
        self.0.borrow_mut().insert(turn, left);
    }

    fn forget(&self, turn: usize) {
        self.0.borrow_mut().remove(&turn);
    }
}

/// A turn of the operation, and how far it is.
struct Item {
    stage: Stage,
    turn: Turn,
    /// Set once it has begun, and while nobody works on it.
    under_way: Option<UnderWay>,
}

impl Item {
    fn waiting(turn: Turn) -> Self {
        Self { stage: Stage::Waiting, turn, under_way: None }
    }
}

impl Run<'_> {
    /// Runs the operation to its end. `plan` was made from `facts`: just now if `is_planned`, else it is made again before the first turn.
    pub async fn to_end(&self, plan: Plan, mut facts: Inventory, is_planned: bool) -> Outcome {
        let pace = plan.pace;
        let mut account = Account::default();
        let mut items: Vec<_> = plan.turns.into_iter().map(Item::waiting).collect();
        // Set at a turn's failure, before it is taken back: no further turn begins meanwhile.
        let failing = AtomicBool::new(false);
        let mut running = FuturesUnordered::new();
        let (mut begun, mut is_planned) = (self.turns_before, is_planned || !self.request.is_planned_again());
        let mut told = None;
        loop {
            if !is_planned && account.may_go_on() {
                match self.plan_again(&mut items).await {
                    Ok(read) => facts = read,
                    Err(problem) => account.stop(problem),
                }
                is_planned = true;
            }
            self.tell_of_the_control_plane(&facts, &mut told);
            let slots: Vec<_> =
                items.iter().map(|item| Slot { stage: item.stage, control_plane: item.turn.control_plane }).collect();
            for (at, begin) in plan::next(pace, &slots, !account.may_go_on() || failing.load(Ordering::Relaxed)).begin {
                let item = &mut items[at];
                if let Some(problem) = self.stop_before_a_change(item.turn.machine()) {
                    account.stop(problem);
                    break;
                }
                item.stage = if begin == Begin::Preparation { Stage::Preparing } else { Stage::UnderWay };
                let under_way = item.under_way.take().unwrap_or_else(|| {
                    begun += 1;
                    UnderWay::begin(begun, item.turn.clone(), &facts, self.events)
                });
                let failing = &failing;
                running.push(async move { (at, self.go_on(under_way, begin, failing).await) });
            }
            let Some((at, (under_way, result))) = running.next().await else { break };
            match result {
                Some(result) => {
                    items[at].stage = Stage::Ended;
                    account.ended(under_way.turn.target, under_way.progress, result);
                    is_planned = !self.request.is_planned_again();
                }
                None => {
                    items[at].stage = Stage::Prepared;
                    items[at].under_way = Some(under_way);
                }
            }
        }
        drop(running);
        self.leave(items, &mut account).await;
        account.close()
    }

    /// Reads the facts that the next turn needs, and plans what is left from them: so the order follows the leaders, and every
    /// gate is asked right before the machine that it protects.
    async fn plan_again(&self, items: &mut Vec<Item>) -> Result<Inventory, Problem> {
        let is_left = |item: &Item| item.stage == Stage::Waiting;
        let left: Vec<_> = items.iter().filter(|item| is_left(item)).map(|item| item.turn.clone()).collect();
        if left.is_empty() {
            return Ok(Inventory::default());
        }
        let facts = self.world.facts(&plan::scope_of_next(self.request, &left)).await?;
        let plan = plan::again(self.request, &left, &facts, &self.world.site)?;
        items.retain(|item| !is_left(item));
        items.extend(plan.turns.into_iter().map(Item::waiting));
        Ok(facts)
    }

    /// Says what the control plane looks like, if that is not what was `told` last. Facts that were read without it say nothing.
    fn tell_of_the_control_plane(&self, facts: &Inventory, told: &mut Option<Kind>) {
        if facts.leaders.is_empty() && facts.apiservers.is_empty() {
            return;
        }
        let leads = |(component, leadership): (&String, &Leadership)| {
            Some((component.clone(), leadership.machine()?.to_owned()))
        };
        let doubt = |state: &Readiness| (!state.is_ready()).then(|| state.to_string());
        let apiservers = facts.apiservers.iter().map(|(machine, state)| (machine.clone(), doubt(state))).collect();
        let seen = Kind::ControlPlane { leaders: facts.leaders.iter().filter_map(leads).collect(), apiservers };
        if told.as_ref() != Some(&seen) {
            self.events.send(seen.clone());
            *told = Some(seen);
        }
    }

    /// A turn that was only prepared leaves no trace, and one that did not begin is left alone.
    async fn leave(&self, items: Vec<Item>, account: &mut Account) {
        let left = items.into_iter().filter(|item| item.stage != Stage::Ended);
        let in_vain_since: Cell<Option<Instant>> = Cell::new(None);
        let taken_back = stream::iter(left).map(async |item| {
            let target = item.turn.target.clone();
            let Some(mut under_way) = item.under_way else { return (target, Ok(None)) };
            if in_vain_since.get().is_some_and(|since| since.elapsed() >= TAKEN_BACK_IN_VAIN) {
                return (target, Err(NotTried));
            }
            let begun = Instant::now();
            let stop = Problem::interrupted(format!("before {} was drained", target.machine()));
            let before = stop.clone();
            let problem = self.end(&mut under_way, Err(stop)).await.err().filter(|problem| *problem != before);
            let since = problem.as_ref().map(|_| in_vain_since.get().unwrap_or(begun));
            in_vain_since.set(since);
            (target, Ok(problem))
        });
        let taken_back: Vec<_> = taken_back.buffered(TAKEN_BACK_AT_A_TIME).collect().await;
        let mut not_tried = Vec::new();
        for (target, problem) in taken_back {
            if problem.is_err() {
                not_tried.push(target.machine().to_owned());
            }
            account.untouched(target, problem.ok().flatten());
        }
        if !not_tried.is_empty() {
            account.stop(left_cordoned(&not_tried));
        }
    }

    /// Why nothing more may be changed, if so.
    fn stop_before_a_change(&self, machine: &str) -> Option<Problem> {
        if self.interrupt.is_requested() {
            return Some(Problem::interrupted(format!("before {machine} was changed any further")));
        }
        self.lock.is_some_and(|lock| !lock.is_held()).then(lock_lost)
    }
}

/// A prepared turn was left as it was, since none before it could be taken back.
struct NotTried;

fn left_cordoned(machines: &[String]) -> Problem {
    let (named, argument) = (nodeset::words(machines), nodeset::argument(machines));
    Problem::failed(format!(
        "{named} may still be cordoned: those before could not be uncordoned, and they were not tried"
    ))
    .hint(format!("once the API answers: usher uncordon '{argument}' -r REASON"))
}
