//! A report as text: its summary, the tables, and what to do next.

use std::{collections::BTreeMap, time::Duration};

use super::Report;
use usher_core::nodeset::{listed, words};

use crate::{
    drain::Whereabouts,
    exit::Exit,
    operation::{FollowUp, Leaders, NodeChange, NodeState},
    output,
    plan::Target,
    rebalance::Moved,
    request::{self, Request},
    runner::Outcome,
    text,
};

/// What is done and what is not, in one sentence.
pub(super) fn summary(request: &Request, outcome: &Outcome, took: Duration) -> String {
    let total = outcome.done.len() + outcome.left().count();
    let done = outcome.done.len();
    let participle = request.participle();
    let Some(problem) = &outcome.problem else {
        let machines: Vec<_> = outcome.done.iter().map(Target::machine).collect();
        let what = match (&request.kind, done) {
            (_, 0) => return "nothing to do".to_owned(),
            (request::Kind::Restart(_), _) => format!("{done} of {total}"),
            _ => words(&machines),
        };
        return format!("{what} {participle} in {}.", text::took(took));
    };
    let verb = match outcome.exit {
        Exit::Refused => return format!("refused: {}", problem.message),
        Exit::Interrupted => "interrupted",
        Exit::TimedOut => "timed out",
        _ => "stopped",
    };
    let mut state = format!("{done} of {total} {participle}");
    if !outcome.untouched.is_empty() {
        let mut names: Vec<_> = outcome.untouched.iter().map(Target::machine).collect();
        names.dedup();
        state.push_str(&format!("; not touched: {}", listed(&names)));
    }
    format!("{verb}: {} ({state})", problem.message)
}

/// The commands that do what is left, with every flag. A machine in doubt is left out: it may be rebooting.
pub(super) fn to_go_on(request: &Request, outcome: &Outcome) -> Vec<String> {
    let left: Vec<_> = outcome.left().filter(|target| outcome.in_doubt.as_deref() != Some(target.machine())).collect();
    let requests = request.only(&left);
    let words = std::iter::once("to go on").chain(std::iter::repeat("and then"));
    words.zip(requests).map(|(words, request)| format!("{words}: {}", request.command_line())).collect()
}

pub(super) fn leaders_in_words(leaders: &Leaders) -> String {
    let names: Vec<_> = leaders.now.iter().map(|(component, machine)| format!("{component} {machine}")).collect();
    let how = if leaders.moved { "Leaders now" } else { "Leaders as before" };
    format!(" {how}: {}.", names.join(", "))
}

/// What became of the rebalance after a reboot.
pub(super) fn followed(follow_up: &FollowUp) -> String {
    let FollowUp { request, outcome, took } = follow_up;
    format!(" Then {}", summary(request, outcome, *took))
}

/// The command that moves pods back to the nodes that are empty after a reboot.
pub(super) fn rebalance_them(request: &Request, nodes: &[NodeChange]) -> Option<String> {
    let nodes = empty(nodes);
    let which = if nodes.len() == 1 { "it" } else { "them" };
    let rebalance = request::Rebalance { nodes, concurrency: 1, ..request::Rebalance::default() };
    (!rebalance.nodes.is_empty()).then(|| {
        let request = Request { kind: request::Kind::Rebalance(rebalance), ..request.clone() };
        format!("to move some to {which}: {}", request.command_line())
    })
}

/// The machines that take pods and have none.
fn empty(nodes: &[NodeChange]) -> Vec<String> {
    let takes_pods = |node: &&NodeChange| node.after.as_ref().is_some_and(|now| now.ready && now.schedulable);
    let empty = nodes.iter().filter(takes_pods).filter(|node| node.pods == Some(0));
    empty.map(|node| node.machine.clone()).collect()
}

impl Report {
    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        if !self.nodes.is_empty() {
            lines.push(node_table(&self.nodes));
        }
        if let Some(pods) = &self.pods {
            lines.push(format!("Pods of {}: {}.", machines(&self.drained), places(pods)));
        }
        if !self.moves.is_empty() {
            lines.push(format!("Pods that were moved: {}.", landings(&self.moves)));
        }
        let empty = empty(&self.nodes);
        if self.exit == Exit::Done && !empty.is_empty() {
            let are = if empty.len() == 1 { "is" } else { "are" };
            lines.push(format!("{} {are} empty now: pods do not come back by themselves.", machines(&empty)));
        } else if self.exit == Exit::Done && self.pods.is_some() && self.nodes.is_empty() {
            lines.push("Pods do not come back by themselves.".to_owned());
        }
        lines.extend(self.exit.ending(&self.details, &self.next));
        lines.join("\n")
    }
}

/// The Nodes as they were and are: what an operator looks at before and after a reboot.
fn node_table(nodes: &[NodeChange]) -> String {
    let rows = nodes.iter().map(|node| {
        let NodeChange { machine, before, after, pods } = node;
        let change = |what: fn(&NodeState) -> String| {
            let (before, after) = (what(before), after.as_ref().map_or_else(|| "?".to_owned(), what));
            if before == after { after } else { format!("{before} → {after}") }
        };
        vec![
            machine.clone(),
            change(|node| if node.ready { "yes" } else { "no" }.to_owned()),
            change(|node| if node.schedulable { "yes" } else { "no" }.to_owned()),
            change(|node| node.kernel.clone()),
            change(|node| text::short_id(&node.boot_id)),
            pods.map_or_else(|| "?".to_owned(), |pods| pods.to_string()),
        ]
    });
    output::table(&["NODE", "READY", "SCHEDULABLE", "KERNEL", "BOOT", "PODS"], rows)
}

/// `5 to w1, 1 to w3 instead`.
fn landings(moves: &[Moved]) -> String {
    let mut nodes: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    for moved in moves {
        *nodes.entry((!moved.wanted, &moved.to)).or_default() += 1;
    }
    let nodes: Vec<_> = nodes
        .iter()
        .map(|((elsewhere, node), pods)| format!("{pods} to {node}{}", if *elsewhere { " instead" } else { "" }))
        .collect();
    nodes.join(", ")
}

/// Up to this many are named one by one.
const FEW: usize = 4;

fn machines(names: &[String]) -> String {
    if names.len() > FEW { format!("{} machines", names.len()) } else { words(names) }
}

/// `12 on w2, 3 on w3, 1 on no node yet`: the nodes that took most come first.
fn places(pods: &Whereabouts) -> String {
    let mut nodes: Vec<_> = pods.by_node.iter().collect();
    nodes.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let (named, others) = nodes.split_at(nodes.len().min(FEW));
    let mut places: Vec<_> = named.iter().map(|(node, count)| format!("{count} on {node}")).collect();
    if !others.is_empty() {
        let pods: usize = others.iter().map(|(_, count)| **count).sum();
        places.push(format!("{pods} on {} more", others.len()));
    }
    if pods.unscheduled > 0 {
        places.push(format!("{} on no node yet", pods.unscheduled));
    }
    if pods.without_successor > 0 {
        places.push(format!("{} without a successor", pods.without_successor));
    }
    places.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_places_are_named_and_the_rest_is_counted() {
        let by_node = [("a", 1), ("b", 9), ("c", 2), ("d", 3), ("e", 4), ("f", 1)];
        let by_node = by_node.into_iter().map(|(node, count)| (node.to_owned(), count)).collect();
        let pods = Whereabouts { by_node, unscheduled: 2, without_successor: 0 };
        assert_eq!(places(&pods), "9 on b, 4 on e, 3 on d, 2 on c, 2 on 2 more, 2 on no node yet");
        let names = |number: usize| (0..number).map(|it| format!("w{it}")).collect::<Vec<_>>();
        assert_eq!((machines(&names(2)), machines(&names(5))), ("w0 and w1".to_owned(), "5 machines".to_owned()));
    }
}
