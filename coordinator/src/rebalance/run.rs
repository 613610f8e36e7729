//! One node's turn: move after move, each decided from where the one before it went.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use kube::Client;
use tokio::time::{Instant, sleep, sleep_until};
use usher_core::{drain::DrainOptions, rebalance::Move};

use super::{
    model::Model,
    preview::percent,
    relocation::{Fate, Relocation},
    report::{End, Moved, RebalanceError, Rebalanced, Stage, Turn},
    survey::Survey,
};
use crate::{
    drain::{
        PodRef,
        evict::Pace,
        follow::{BudgetUpdate, BudgetWatches},
    },
    text::count,
};

/// How long a survey is good for. What usher itself moves is counted in it; what others do is not.
const SURVEYED_FOR: Duration = Duration::from_secs(2 * 60);

/// So many pods in a row that went elsewhere end a turn: the scheduler sees the cluster differently, and more evictions would
/// help nobody.
const MISSES: usize = 2;

/// A pod that a budget blocks is tried again after this time, unless the budget changes first.
const BLOCKED_PAUSE: Duration = Duration::from_secs(5);

/// A turn in which only pods are left that budgets block ends when they have not opened for this long. Nothing is urgent here.
const BUDGET_PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How long to wait for the controller that takes the taint of a cordon away. It does so at once where it runs.
const OPENS_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks at that.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A turn under way.
pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) pace: &'a Pace,
    pub(super) options: &'a DrainOptions,
    pub(super) turn: &'a Turn<'a>,
    /// Where each pod went; kept whatever becomes of the turn.
    pub(super) moved: &'a mut Vec<Moved>,
    pub(super) told: &'a mut (dyn FnMut(Stage<'_>) + Send),
    state: State,
}

/// What is known of controllers, by their UIDs: it outlives a survey.
#[derive(Debug, Default)]
struct State {
    /// A pod of theirs is under way.
    busy: BTreeMap<String, PodRef>,
    /// Not to be tried again in this turn.
    barred: BTreeSet<String>,
    blocked: BTreeMap<String, Blocked>,
    /// Evictions that were accepted.
    evicted: usize,
    /// Pods in a row that went elsewhere.
    misses: usize,
    /// Since when only blocked pods have been left.
    stuck_since: Option<Instant>,
    /// The survey is older than what is known to have happened.
    outdated: bool,
}

#[derive(Debug)]
struct Blocked {
    namespace: String,
    message: String,
    /// When it is tried again.
    due: Instant,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        (client, pace, options): (&'a Client, &'a Pace, &'a DrainOptions),
        turn: &'a Turn<'a>,
        moved: &'a mut Vec<Moved>,
        told: &'a mut (dyn FnMut(Stage<'_>) + Send),
    ) -> Self {
        Self { client, pace, options, turn, moved, told, state: State::default() }
    }

    /// Moves pods until the node has its share, or no further move would help.
    pub(super) async fn finish(mut self) -> Result<Rebalanced, RebalanceError> {
        let mut budgets = BudgetWatches::default();
        let mut under_way = FuturesUnordered::new();
        let (mut model, mut goal) = self.survey().await?;
        let mut surveyed = Instant::now();
        loop {
            let mut is_stale = self.state.outdated || surveyed.elapsed() >= SURVEYED_FOR;
            if is_stale && under_way.is_empty() {
                (model, goal) = self.survey().await?;
                surveyed = Instant::now();
                self.state.outdated = false;
                is_stale = false;
            }
            while let Some(next) = self.next(&model, goal, under_way.len()).filter(|_| !is_stale) {
                model.balance.moved(next.candidate, Some(next.to));
                let pod = model.guest(next.candidate).pod.clone();
                self.state.busy.insert(model.owner(next.candidate).to_owned(), pod);
                let moving = self.relocation(&model, next).finish(self.client.clone(), self.pace.clone());
                under_way.push(async move { (next, moving.await) });
            }
            let due = match under_way.is_empty() {
                false => None,
                true => match self.due(&model, goal) {
                    Ok(due) => Some(due),
                    Err(end) => return Ok(rebalanced(end, &model, goal)),
                },
            };
            self.say(under_way.len());
            budgets.follow(self.client, self.state.blocked.values().map(|blocked| blocked.namespace.as_str()));
            tokio::select! {
                biased;
                Some((planned, fate)) = under_way.next() => self.settle(&mut model, planned, fate)?,
                Some(update) = budgets.next() => self.state.budget_changed(&update),
                () = sleep_until(due.unwrap_or(surveyed)), if due.is_some() => {}
            }
        }
    }

    /// Reads the cluster, once the node is rid of the taint of a cordon that is gone.
    async fn survey(&mut self) -> Result<(Model, usize), RebalanceError> {
        let begun = Instant::now();
        loop {
            let survey = Survey::read(self.client, self.options).await?;
            let is_opening = survey.nodes.iter().any(|node| node.name == self.turn.to && node.is_opening());
            if is_opening && begun.elapsed() < OPENS_WITHIN {
                (self.told)(Stage::Waiting(format!("{} still carries the taint of its cordon", self.turn.to)));
                sleep(LOOK_AGAIN).await;
                continue;
            }
            let model = Model::of(survey, &self.turn.among.iter().cloned().collect());
            let closed = || RebalanceError::Closed { node: self.turn.to.to_owned() };
            let goal = model.place(self.turn.to).ok_or_else(closed)?;
            return Ok((model, goal));
        }
    }

    /// The next move that may begin now. `under_way` moves have begun.
    fn next(&self, model: &Model, goal: usize, under_way: usize) -> Option<Move> {
        let state = &self.state;
        let most = self.turn.max_moves.unwrap_or(usize::MAX);
        if under_way >= self.turn.at_a_time.max(1) || state.evicted + under_way >= most || state.misses >= MISSES {
            return None;
        }
        let now = Instant::now();
        model.balance.next(goal, |candidate| {
            let owner = model.owner(candidate);
            state.is_free(owner) && state.blocked.get(owner).is_none_or(|blocked| blocked.due <= now)
        })
    }

    /// When to try again with nothing under way, or why the turn is at its end.
    fn due(&mut self, model: &Model, goal: usize) -> Result<Instant, End> {
        let state = &mut self.state;
        if model.balance.has_its_share(goal) {
            return Err(End::HasItsShare);
        }
        if state.misses >= MISSES {
            return Err(End::WentElsewhere);
        }
        if self.turn.max_moves.is_some_and(|most| state.evicted >= most) {
            return Err(End::MostMoves);
        }
        let now = Instant::now();
        let next = model.balance.next(goal, |candidate| state.is_free(model.owner(candidate)));
        let Some(next) = next else { return Err(End::NothingHelps) };
        let stuck_since = *state.stuck_since.get_or_insert(now);
        let message =
            || state.blocked.get(model.owner(next.candidate)).map(|it| it.message.clone()).unwrap_or_default();
        if now >= stuck_since + BUDGET_PATIENCE {
            return Err(End::BudgetsClosed(message()));
        }
        // One whose time has come is of no use any more, or it would have been tried.
        let due = state.blocked.values().map(|blocked| blocked.due).filter(|due| *due > now);
        Ok(due.min().unwrap_or(now + BLOCKED_PAUSE).min(stuck_since + BUDGET_PATIENCE))
    }

    fn relocation(&self, model: &Model, planned: Move) -> Relocation {
        let guest = model.guest(planned.candidate);
        Relocation {
            pod: guest.pod.clone(),
            kind: model.survey.kinds[guest.kind].clone(),
            options: self.options.into(),
            ready_within: self.turn.ready_within,
        }
    }

    /// Takes what became of a move into account.
    fn settle(&mut self, model: &mut Model, planned: Move, fate: Fate) -> Result<(), RebalanceError> {
        let pod = model.guest(planned.candidate).pod.clone();
        let owner = model.owner(planned.candidate).to_owned();
        let state = &mut self.state;
        state.busy.remove(&owner);
        if !matches!(fate, Fate::Blocked { .. }) {
            state.blocked.remove(&owner);
        }
        match fate {
            Fate::Landed { node, successor, took } => {
                let wanted = self.turn.among.contains(&node);
                model.balance.moved(planned.candidate, model.place(&node));
                state.evicted += 1;
                state.stuck_since = None;
                state.misses = if wanted { 0 } else { state.misses + 1 };
                if !wanted {
                    state.barred.insert(owner);
                }
                let from = model.balance.places()[planned.from].name.clone();
                let moved = Moved { pod, from, to: node, successor, wanted, took };
                (self.told)(Stage::Moved(&moved));
                self.moved.push(moved);
            }
            Fate::Blocked { message, retry_after } => {
                model.balance.stayed(planned);
                let due = Instant::now() + retry_after.max(BLOCKED_PAUSE);
                state.blocked.insert(owner, Blocked { namespace: pod.namespace, message, due });
            }
            Fate::Refused { message } => {
                model.balance.stayed(planned);
                state.barred.insert(owner);
                (self.told)(Stage::Warned(format!("{pod} stays: {message}")));
            }
            Fate::Gone => {
                model.balance.moved(planned.candidate, None);
                state.outdated = true;
            }
            Fate::NoSuccessor => {
                model.balance.moved(planned.candidate, None);
                state.evicted += 1;
                state.misses += 1;
                state.outdated = true;
                state.barred.insert(owner);
                (self.told)(Stage::Warned(format!("{pod} has gone and its controller made no successor")));
            }
            Fate::NotReady { node, successor, waited } => {
                return Err(RebalanceError::NotReady { pod: pod.into(), successor, node, waited });
            }
            Fate::Failed { doing, message } => return Err(RebalanceError::Api { doing, message }),
        }
        Ok(())
    }

    fn say(&mut self, under_way: usize) {
        let mut parts = vec![format!("{} moved", count(self.moved.len(), "pod"))];
        if let Some(first) = self.state.busy.values().next() {
            let others = if under_way > 1 { format!(" and {} more", under_way - 1) } else { String::new() };
            parts.push(format!("{first}{others} on the way"));
        }
        if let Some(blocked) = self.state.blocked.values().next() {
            let others = self.state.blocked.len() - 1;
            let others = if others > 0 { format!(" ({others} more wait)") } else { String::new() };
            parts.push(format!("waits: {}{others}", blocked.message));
        }
        (self.told)(Stage::Waiting(parts.join(" · ")));
    }
}

impl State {
    fn is_free(&self, owner: &str) -> bool {
        !self.busy.contains_key(owner) && !self.barred.contains(owner)
    }

    fn budget_changed(&mut self, update: &BudgetUpdate) {
        let now = Instant::now();
        for blocked in self.blocked.values_mut().filter(|blocked| update.may_free(&blocked.namespace)) {
            blocked.due = blocked.due.min(now);
        }
    }
}

fn rebalanced(end: End, model: &Model, goal: usize) -> Rebalanced {
    let load_percent = percent(model.balance.places()[goal].load());
    Rebalanced { end, load_percent, mean_percent: percent(model.balance.mean(goal)) }
}
