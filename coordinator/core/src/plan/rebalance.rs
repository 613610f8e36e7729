//! Plans of `usher rebalance`: Node after Node, in the order in which they were named. Which pods move is decided pod by pod when it
//! is a Node's turn: it follows from where the scheduler puts them.

use super::{Steps, Target, Turn, step::Step};
use crate::request::Rebalance;

pub(super) fn turns(request: &Rebalance, left: Option<&[Turn]>) -> Vec<Turn> {
    let Rebalance { nodes, max_moves, concurrency, .. } = request;
    let turn = |node: &String| Turn {
        target: Target::machine_turn(node),
        control_plane: false,
        leads: Vec::new(),
        steps: Steps::default()
            .then(Step::Rebalance { among: nodes.clone(), max_moves: *max_moves, at_a_time: (*concurrency).max(1) })
            .done(),
    };
    let is_left = |node: &&String| left.is_none_or(|left| left.iter().any(|turn| turn.machine() == node.as_str()));
    nodes.iter().filter(is_left).map(turn).collect()
}
