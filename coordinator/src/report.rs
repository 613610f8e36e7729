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
    text,
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
    pub machine: String,
    /// The component that was restarted.
    pub component: Option<String>,
    /// Whether all is done.
    pub done: bool,
    /// In seconds.
    #[serde(rename = "tookSeconds")]
    pub took: f64,
    /// What was brought about, with the evidence.
    pub facts: Vec<String>,
}

/// What happened on the way: a fold of events, so that a night of them need not be kept.
#[derive(Debug, Default)]
pub struct Digest {
    turns: BTreeMap<usize, TurnReport>,
    warnings: Vec<String>,
}

impl Digest {
    /// Takes an event into account.
    pub fn add(&mut self, event: &Event) {
        match &event.kind {
            Kind::TurnBegan { turn, machine, component } => {
                let report =
                    TurnReport { machine: machine.clone(), component: component.clone(), ..TurnReport::default() };
                self.turns.insert(*turn, report);
            }
            Kind::Fact { turn, step, what } => self.fact(*turn, format!("{step}: {what}")),
            Kind::Undone { turn, step, what } => self.fact(*turn, format!("{step} taken back: {what}")),
            Kind::TurnEnded { turn, done, took } => {
                let report = self.turns.entry(*turn).or_default();
                report.done = *done;
                report.took = *took;
            }
            Kind::Warned { message } => self.warnings.push(message.clone()),
            Kind::Began { .. }
            | Kind::StepBegan { .. }
            | Kind::Waiting { .. }
            | Kind::StepFailed { .. }
            | Kind::Ended { .. } => {}
        }
    }

    fn fact(&mut self, turn: usize, fact: String) {
        self.turns.entry(turn).or_default().facts.push(fact);
    }
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
    pub fn with(self, Digest { turns, warnings }: Digest) -> Self {
        Self { turns: turns.into_values().collect(), warnings, ..self }
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
            _ => text::list(&machines),
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

/// Up to this many are named one by one.
const FEW: usize = 4;

fn machines(names: &[String]) -> String {
    if names.len() > FEW { format!("{} machines", names.len()) } else { text::list(names) }
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
    fn a_turn_is_told_with_what_it_brought_about_and_what_was_taken_back() {
        let (w1, drain) = ("w1".to_owned(), "drain".to_owned());
        let mut digest = Digest::default();
        for kind in [
            Kind::TurnBegan { turn: 2, machine: "w2".into(), component: None },
            Kind::TurnBegan { turn: 1, machine: w1, component: None },
            Kind::Waiting { turn: 1, step: drain.clone(), what: "3 pods left".into() },
            Kind::Fact { turn: 1, step: drain, what: "8 pods moved".into() },
            Kind::Undone { turn: 1, step: "cordon".into(), what: "uncordoned".into() },
            Kind::TurnEnded { turn: 1, done: false, took: 4.5 },
        ] {
            digest.add(&Event { at: jiff::Timestamp::UNIX_EPOCH, kind });
        }
        let reports: Vec<_> = digest.turns.into_values().collect();
        let machines: Vec<_> = reports.iter().map(|turn| turn.machine.as_str()).collect();
        assert_eq!(machines, ["w1", "w2"]);
        assert_eq!(reports[0].facts, ["drain: 8 pods moved", "cordon taken back: uncordoned"]);
        assert_eq!((reports[0].done, reports[0].took), (false, 4.5));
    }

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
