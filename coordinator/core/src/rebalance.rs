//! Which pods should move to which Nodes so that these get their share again. Pure: Nodes, pods and the scheduler's hard rules
//! as plain data, and the next move out of them.
//!
//! Only the scheduler decides where a pod's successor goes, so a plan is a forecast. The caller makes one move, tells
//! [`Balance::moved`] where the successor went, and asks for the next move.
//!
//! How full a Node is, its *load*, is the mean of three shares: of the CPU and the memory that its pods request, as the
//! scheduler's default scoring (`LeastAllocated`) has it, and of the pods that it may run, so that pods without requests count too.
//! The mean of a pool is what its pods take of what its Nodes offer together. The imbalance is the sum of the squared distances
//! from that mean. Each move lowers it, so that every plan ends.

mod rule;

use std::{collections::BTreeMap, sync::Arc};

pub use self::rule::{Law, Rule};

/// A Node whose load is this close to the mean has its share: five points of a hundred. To come closer would cost evictions that
/// nobody notices.
const TOLERANCE: f64 = 0.05;

/// The same as a part of the mean, which is less where Nodes are hardly used.
const RELATIVE_TOLERANCE: f64 = 0.15;

/// A gain that is only an error of rounding.
const NO_GAIN: f64 = 1e-9;

/// What a Node offers, or what pods take of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// In millicores.
    pub cpu: u64,
    /// In bytes.
    pub memory: u64,
    pub pods: u64,
    /// Volumes that are attached for pods.
    pub volumes: u64,
}

impl Amount {
    fn fields(&self) -> [u64; 4] {
        [self.cpu, self.memory, self.pods, self.volumes]
    }

    fn with(&self, other: &Self, by: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpu: by(self.cpu, other.cpu),
            memory: by(self.memory, other.memory),
            pods: by(self.pods, other.pods),
            volumes: by(self.volumes, other.volumes),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// This without the other, nothing where the other is more.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// The mean of the shares of CPU, memory and pods that this takes of `offered`.
    pub fn load(&self, offered: &Self) -> f64 {
        let share = |taken: u64, of: u64| if of == 0 { 0.0 } else { taken as f64 / of as f64 };
        let shares = [(self.cpu, offered.cpu), (self.memory, offered.memory), (self.pods, offered.pods)];
        shares.iter().map(|(taken, of)| share(*taken, *of)).sum::<f64>() / 3.0
    }
}

/// A Node that takes pods.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub name: String,
    /// Nodes with the same taints are one pool: a mean over Nodes that take different pods would mean nothing.
    pub pool: usize,
    pub offered: Amount,
    pub taken: Amount,
    /// Whether it should get pods, if it has fewer than its share.
    pub receives: bool,
}

impl Place {
    /// How full it is.
    pub fn load(&self) -> f64 {
        self.taken.load(&self.offered)
    }
}

/// A pod that may be moved.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The index of its place; None once it is on no Node that counts.
    pub at: Option<usize>,
    pub asks: Amount,
    /// The places that would take it if they had room and no [`Rule`] forbade it.
    pub fits: Arc<[usize]>,
    /// Moved only where no other pod helps: its move takes longer than that of others.
    pub late: bool,
    /// The rules that it must obey where it goes.
    pub obeys: Arc<[usize]>,
    /// The rules that count it where it is.
    pub counted_by: Arc<[usize]>,
    /// It has been moved, and is not moved again.
    pub moved: bool,
}

/// A move of one pod, by indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub candidate: usize,
    pub from: usize,
    pub to: usize,
}

/// Nodes and pods, as they are or as moves will have left them.
#[derive(Debug, Clone)]
pub struct Balance {
    places: Vec<Place>,
    candidates: Vec<Candidate>,
    rules: Vec<Rule>,
    /// By pool. What is requested in all does not change by moves.
    means: BTreeMap<usize, f64>,
}

impl Balance {
    /// Indices of candidates and rules are those of these lists.
    pub fn new(places: Vec<Place>, candidates: Vec<Candidate>, rules: Vec<Rule>) -> Self {
        let means = means(&places);
        Self { places, candidates, rules, means }
    }

    pub fn places(&self) -> &[Place] {
        &self.places
    }

    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The mean load of the place's pool.
    pub fn mean(&self, place: usize) -> f64 {
        self.means.get(&self.places[place].pool).copied().unwrap_or_default()
    }

    /// Whether the place has its share: its load is near the mean, or above it.
    pub fn has_its_share(&self, place: usize) -> bool {
        let mean = self.mean(place);
        self.places[place].load() >= mean - tolerance(mean)
    }

    /// Whether the place gives pods: its load is above the mean.
    pub fn gives(&self, place: usize) -> bool {
        self.places[place].load() > self.mean(place)
    }

    /// The best next move to `goal`, among the candidates that `may` go now: the one that lowers the imbalance most. None if the
    /// goal has its share, or nothing that fits would help.
    pub fn next(&self, goal: usize, may: impl Fn(usize) -> bool) -> Option<Move> {
        if self.has_its_share(goal) {
            return None;
        }
        let mut best: Option<(bool, f64, Move)> = None;
        for candidate in 0..self.candidates.len() {
            let Some((planned, gain)) = self.gain(candidate, goal).filter(|_| may(candidate)) else { continue };
            let late = self.candidates[candidate].late;
            // The first of equals, so that a plan is the same whenever it is made.
            let better = best.is_none_or(|(best_late, best_gain, _)| match late == best_late {
                true => gain > best_gain + NO_GAIN,
                false => best_late,
            });
            if better {
                best = Some((late, gain, planned));
            }
        }
        best.map(|(_, _, planned)| planned)
    }

    /// Notes where a candidate is now. Without a place it takes nothing of any Node here.
    pub fn moved(&mut self, candidate: usize, to: Option<usize>) {
        self.place(candidate, to);
        self.candidates[candidate].moved = true;
    }

    /// Takes a move back that did not begin: the candidate is where it was, and may be moved later.
    pub fn stayed(&mut self, undone: Move) {
        self.place(undone.candidate, Some(undone.from));
        self.candidates[undone.candidate].moved = false;
    }

    /// All moves to the goals, one goal after another and at most so many to each, if every successor goes where it should. The
    /// balance is as it would be then.
    pub fn plan(&mut self, goals: &[usize], most: usize) -> Vec<Move> {
        let mut moves = Vec::new();
        for goal in goals {
            for _ in 0..most {
                let Some(planned) = self.next(*goal, |_| true) else { break };
                self.moved(planned.candidate, Some(planned.to));
                moves.push(planned);
            }
        }
        moves
    }

    /// The sum of the squared distances from the mean.
    pub fn imbalance(&self) -> f64 {
        (0..self.places.len()).map(|place| self.distance(place, self.places[place].taken)).sum()
    }

    fn distance(&self, place: usize, taken: Amount) -> f64 {
        (taken.load(&self.places[place].offered) - self.mean(place)).powi(2)
    }

    /// The move of a candidate to the goal and by how much it lowers the imbalance; None if it may not go there, or it does not.
    fn gain(&self, candidate: usize, goal: usize) -> Option<(Move, f64)> {
        let pod = self.candidates.get(candidate).filter(|pod| !pod.moved)?;
        let from = pod.at.filter(|from| *from != goal)?;
        let (giver, taker) = (&self.places[from], &self.places[goal]);
        if giver.pool != taker.pool || !self.gives(from) {
            return None;
        }
        let (less, more) = (giver.taken.minus(&pod.asks), taker.taken.plus(&pod.asks));
        let before = self.distance(from, giver.taken) + self.distance(goal, taker.taken);
        let gain = before - self.distance(from, less) - self.distance(goal, more);
        // The cheap questions first.
        let has_room = || more.fields().iter().zip(taker.offered.fields()).all(|(taken, offered)| *taken <= offered);
        let obeys = |rule: &usize| self.rules[*rule].allows(pod.counted_by.contains(rule), from, goal);
        (gain > NO_GAIN && has_room() && pod.fits.contains(&goal) && pod.obeys.iter().all(obeys))
            .then_some((Move { candidate, from, to: goal }, gain))
    }

    fn place(&mut self, candidate: usize, to: Option<usize>) {
        let pod = &mut self.candidates[candidate];
        let from = std::mem::replace(&mut pod.at, to);
        if let Some(from) = from {
            self.places[from].taken = self.places[from].taken.minus(&pod.asks);
        }
        if let Some(to) = to {
            self.places[to].taken = self.places[to].taken.plus(&pod.asks);
        }
        for rule in pod.counted_by.iter() {
            self.rules[*rule].recount(from, to);
        }
    }
}

fn tolerance(mean: f64) -> f64 {
    TOLERANCE.min(mean * RELATIVE_TOLERANCE)
}

/// The places that are far below the mean of their pools: by twice as much as would still be their share.
pub fn far_below(places: &[Place]) -> Vec<usize> {
    let means = means(places);
    let mean = |place: &Place| means.get(&place.pool).copied().unwrap_or_default();
    let below =
        places.iter().enumerate().filter(|(_, place)| place.load() < mean(place) - 2.0 * tolerance(mean(place)));
    below.map(|(at, _)| at).collect()
}

fn means(places: &[Place]) -> BTreeMap<usize, f64> {
    let mut pools: BTreeMap<usize, (Amount, Amount)> = BTreeMap::new();
    for place in places {
        let (taken, offered) = pools.entry(place.pool).or_default();
        *taken = taken.plus(&place.taken);
        *offered = offered.plus(&place.offered);
    }
    pools.into_iter().map(|(pool, (taken, offered))| (pool, taken.load(&offered))).collect()
}

#[cfg(test)]
mod tests;
