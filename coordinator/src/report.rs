//! The report: what an operation did and where it left things, from its events and its outcome.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    drain::Whereabouts,
    event::{Event, Kind},
    exit::Exit,
    operation::{Ended, Leaders},
    plan::Target,
    request::{self, Request},
    runner::Outcome,
    words,
};

/// The final report; `-o json` prints it as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The operation's id.
    pub operation: String,
    pub cluster: String,
    pub exit: Exit,
    pub exit_code: u8,
    /// What state things are in, in one sentence.
    pub summary: String,
    pub details: Vec<String>,
    /// What to do next; commands can be pasted into a shell.
    pub next: Vec<String>,
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
    /// Machine by machine.
    pub turns: Vec<TurnReport>,
    pub done: Vec<Target>,
    /// Turns that began and are not done: what they had changed is taken back, as far as it can be.
    pub failed: Vec<Target>,
    /// Turns that did not begin, or have left no trace.
    pub untouched: Vec<Target>,
    /// The machine that was told to reboot and not proved to be back.
    pub in_doubt: Option<String>,
    /// What was warned of on the way.
    pub warnings: Vec<String>,
    /// The machines that pods have left.
    pub drained: Vec<String>,
    /// Where those pods' successors are now. Which of them came from which machine cannot be told: their controllers make
    /// them for all.
    pub pods: Option<Whereabouts>,
}

/// What happened to one machine.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnReport {
    /// The machine.
    pub machine: String,
    /// The component that was restarted.
    pub component: Option<String>,
    /// Whether all is done.
    pub done: bool,
    /// In seconds.
    pub took: f64,
    /// What was brought about, with the evidence.
    pub facts: Vec<String>,
}

/// The turns of an operation, from its events.
pub fn turns(events: &[Event]) -> Vec<TurnReport> {
    let mut turns: BTreeMap<usize, TurnReport> = BTreeMap::new();
    for event in events {
        match &event.kind {
            Kind::TurnBegan { turn, machine, component } => {
                let report =
                    TurnReport { machine: machine.clone(), component: component.clone(), ..TurnReport::default() };
                turns.insert(*turn, report);
            }
            Kind::Fact { turn, step, what } => {
                turns.entry(*turn).or_default().facts.push(format!("{step}: {what}"));
            }
            Kind::Undone { turn, step, what } => {
                turns.entry(*turn).or_default().facts.push(format!("{step} taken back: {what}"));
            }
            Kind::TurnEnded { turn, done, took } => {
                let report = turns.entry(*turn).or_default();
                report.done = *done;
                report.took = *took;
            }
            _ => {}
        }
    }
    turns.into_values().collect()
}

impl Report {
    /// The report of an operation that ended, still without what happened on the way.
    pub fn of(operation: &str, cluster: &str, request: &Request, ended: Ended) -> Self {
        let Ended { outcome, took, leaders, pods } = ended;
        let mut summary = summary(request, &outcome, took);
        summary.extend(leaders.as_ref().map(leaders_in_words));
        let (details, mut next) =
            outcome.problem.clone().map(|problem| (problem.details, problem.hints)).unwrap_or_default();
        if !outcome.exit.changed_nothing() {
            next.extend(to_go_on(request, &outcome));
        }
        Self {
            operation: operation.to_owned(),
            cluster: cluster.to_owned(),
            exit: outcome.exit,
            exit_code: outcome.exit.code(),
            summary,
            details,
            next,
            took,
            turns: Vec::new(),
            drained: outcome.moved.keys().cloned().collect(),
            done: outcome.done,
            failed: outcome.failed,
            untouched: outcome.untouched,
            in_doubt: outcome.in_doubt,
            warnings: Vec::new(),
            pods,
        }
    }

    /// The report with what happened on the way.
    #[must_use]
    pub fn with_turns(mut self, events: &[Event]) -> Self {
        self.turns = turns(events);
        self.warnings = events
            .iter()
            .filter_map(|event| match &event.kind {
                Kind::Warned { message } => Some(message.clone()),
                _ => None,
            })
            .collect();
        self
    }
}

/// What is done and what is not, in one sentence.
fn summary(request: &Request, outcome: &Outcome, took: Duration) -> String {
    let total = outcome.done.len() + outcome.left().count();
    let done = outcome.done.len();
    let participle = request.participle();
    let Some(problem) = &outcome.problem else {
        let machines: Vec<_> = outcome.done.iter().map(Target::machine).collect();
        let what = match (&request.kind, done) {
            (_, 0) => return "nothing to do".to_owned(),
            (request::Kind::Restart(_), _) => format!("{done} of {total}"),
            _ => words::list(&machines),
        };
        return format!("{what} {participle} in {}.", words::took(took));
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
        state.push_str(&format!("; not touched: {}", names.join(", ")));
    }
    format!("{verb}: {} ({state})", problem.message)
}

/// The command that does what is left, with every flag. A machine in doubt is left out: it may be rebooting.
fn to_go_on(request: &Request, outcome: &Outcome) -> Option<String> {
    let left: Vec<_> = outcome.left().filter(|target| outcome.in_doubt.as_deref() != Some(target.machine())).collect();
    Some(format!("to go on: {}", request.only(&left)?.command_line()))
}

fn leaders_in_words(leaders: &Leaders) -> String {
    let names: Vec<_> = leaders.now.iter().map(|(component, machine)| format!("{component} {machine}")).collect();
    let how = if leaders.moved { "Leaders now" } else { "Leaders as before" };
    format!(" {how}: {}.", names.join(", "))
}

impl Report {
    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        if let Some(pods) = &self.pods {
            lines.push(format!("Pods of {}: {}.", machines(&self.drained), places(pods)));
            if self.exit == Exit::Done {
                lines.push("Pods do not come back by themselves.".to_owned());
            }
        }
        lines.extend(self.details.iter().map(|line| format!("  {line}")));
        lines.extend(self.next.iter().map(|line| format!("  {line}")));
        if self.exit != Exit::Done {
            lines.push(self.exit.last_line());
        }
        lines.join("\n")
    }
}

/// So many are named one by one.
const FEW: usize = 4;

fn machines(names: &[String]) -> String {
    if names.len() > FEW { format!("{} machines", names.len()) } else { words::list(names) }
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
