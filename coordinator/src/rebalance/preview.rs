//! What a rebalance would do if every successor went where it should: as data, and as text for the plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use usher_core::rebalance::{Amount, Balance};

use super::{guest::Keeps, model::Model};
use crate::{
    drain::PodRef,
    text::{count, list},
};

/// Up to this many moves are named one by one; `-o json` names them all.
const FEW: usize = 12;

/// The plan of a rebalance, as things stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebalancePreview {
    /// The nodes that get pods, and those that would give some, in alphabetical order.
    pub nodes: Vec<NodePreview>,
    /// In their order.
    pub moves: Vec<PlannedMove>,
    /// Pods on the other nodes that do not move, and why. Those that belong to their node are left out.
    pub stay: Vec<StayingPods>,
}

/// A node before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePreview {
    pub name: String,
    /// Whether it gets pods.
    pub receives: bool,
    /// The mean load of the nodes with the same taints, in percent.
    pub mean_load_percent: f64,
    pub before: NodeLoad,
    pub after: NodeLoad,
}

/// How full a node is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeLoad {
    pub pods: u64,
    /// The share of its CPU that pods request, in percent.
    pub cpu_percent: f64,
    /// The share of its memory that pods request, in percent.
    pub memory_percent: f64,
    /// The mean of those two and of the share of its pods, in percent: what is compared.
    pub load_percent: f64,
}

/// A pod that would move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedMove {
    /// The pod; in JSON its fields stand beside the others.
    #[serde(flatten)]
    pub pod: PodRef,
    /// The node that it would leave.
    pub from: String,
    /// The node where its successor should go.
    pub to: String,
}

/// How many pods stay for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StayingPods {
    pub reason: Keeps,
    pub pods: usize,
}

impl RebalancePreview {
    /// What moves to `goals`, at most `most` to each.
    pub(super) fn of(model: &Model, goals: &[usize], most: usize) -> Self {
        let before = &model.balance;
        let mut after = before.clone();
        let moves = after.plan(goals, most);
        let name = |place: usize| before.places()[place].name.clone();
        let takes_part = |place: &usize| {
            goals.contains(place) || moves.iter().any(|planned| planned.from == *place || planned.to == *place)
        };
        let nodes = (0..before.places().len()).filter(takes_part).map(|place| NodePreview {
            name: name(place),
            receives: before.places()[place].receives,
            mean_load_percent: percent(before.mean(place)),
            before: load(before, place),
            after: load(&after, place),
        });
        Self {
            nodes: nodes.collect(),
            stay: staying(model),
            moves: moves
                .iter()
                .map(|planned| PlannedMove {
                    pod: model.guest(planned.candidate).pod.clone(),
                    from: name(planned.from),
                    to: name(planned.to),
                })
                .collect(),
        }
    }

    /// The table, the moves, and what stays, a line each.
    pub fn lines(&self, table: impl Fn(&[&str], Vec<Vec<String>>) -> String) -> Vec<String> {
        let rows = self.nodes.iter().map(|node| {
            let NodePreview { name, before, after, .. } = node;
            vec![
                name.clone(),
                change(&before.pods.to_string(), &after.pods.to_string()),
                change(&rounded(before.cpu_percent), &rounded(after.cpu_percent)),
                change(&rounded(before.memory_percent), &rounded(after.memory_percent)),
                change(&rounded(before.load_percent), &rounded(after.load_percent)),
                rounded(node.mean_load_percent),
            ]
        });
        let header = ["NODE", "PODS", "CPU REQUESTED", "MEMORY REQUESTED", "LOAD", "MEAN LOAD"];
        let mut lines = vec![table(&header, rows.collect())];
        lines.extend(self.moves_in_words());
        if !self.stay.is_empty() {
            let stay: Vec<_> = self.stay.iter().map(|it| format!("{} {}", it.pods, it.reason)).collect();
            lines.push(format!("Pods elsewhere that stay: {}.", list(&stay)));
        }
        lines
    }

    fn moves_in_words(&self) -> Vec<String> {
        if self.moves.is_empty() {
            return vec!["No pod moves.".to_owned()];
        }
        let last =
            "The scheduler decides where each successor goes: the plan is made again after every pod.".to_owned();
        if self.moves.len() <= FEW {
            let width = self.moves.iter().map(|planned| planned.pod.to_string().len()).max().unwrap_or_default();
            let moves = self.moves.iter();
            let moves =
                moves.map(|PlannedMove { pod, from, to }| format!("  {:width$}  {from} → {to}", pod.to_string()));
            return moves.chain([last]).collect();
        }
        let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for planned in &self.moves {
            *pairs.entry((&planned.to, &planned.from)).or_default() += 1;
        }
        let pairs = pairs.iter().map(|((to, from), pods)| format!("  {} {from} → {to}", count(*pods, "pod")));
        pairs.chain([last]).collect()
    }
}

fn staying(model: &Model) -> Vec<StayingPods> {
    let places = model.balance.places();
    let givers = (0..places.len()).filter(|place| model.balance.gives(*place));
    let givers: BTreeSet<_> = givers.map(|place| places[place].name.as_str()).collect();
    let mut stay: BTreeMap<Keeps, usize> = BTreeMap::new();
    for guest in &model.survey.guests {
        let gives = givers.contains(model.survey.nodes[guest.node].name.as_str());
        if let Some(reason) = guest.keeps.filter(|keeps| gives && *keeps != Keeps::Node) {
            *stay.entry(reason).or_default() += 1;
        }
    }
    stay.into_iter().map(|(reason, pods)| StayingPods { reason, pods }).collect()
}

fn load(balance: &Balance, place: usize) -> NodeLoad {
    let place = &balance.places()[place];
    let Amount { cpu, memory, pods, .. } = place.taken;
    let share = |taken: u64, of: u64| if of == 0 { 0.0 } else { percent(taken as f64 / of as f64) };
    NodeLoad {
        pods,
        cpu_percent: share(cpu, place.offered.cpu),
        memory_percent: share(memory, place.offered.memory),
        load_percent: percent(place.load()),
    }
}

/// In tenths of a percent, which is finer than anybody reads.
pub(super) fn percent(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0
}

pub(super) fn rounded(percent: f64) -> String {
    format!("{percent:.0}%")
}

fn change(before: &str, after: &str) -> String {
    if before == after { before.to_owned() } else { format!("{before} → {after}") }
}
