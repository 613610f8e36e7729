//! The report: what an operation did and where it left things, from its events and its outcome.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    drain::Whereabouts,
    event::{Event, Kind},
    exit::Exit,
    plan::Request,
    runner::Outcome,
    words,
};

/// The final report; `-o json` prints it as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The operation's id.
    pub operation: String,
    /// The cluster's name.
    pub cluster: String,
    /// How it ended.
    pub exit: Exit,
    /// Its exit code.
    pub exit_code: u8,
    /// What state things are in.
    pub summary: String,
    /// More of it.
    pub details: Vec<String>,
    /// What to do next.
    pub next: Vec<String>,
    /// In seconds.
    pub took: f64,
    /// Machine by machine.
    pub turns: Vec<TurnReport>,
    /// Where the pods of each drained machine are now, by machine.
    pub pods: BTreeMap<String, Whereabouts>,
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

/// What is done and what is not, in one sentence; then the command that goes on.
pub fn summary(request: &Request, outcome: &Outcome, took: Duration, reason: &str) -> (String, Vec<String>) {
    let total = outcome.done.len() + outcome.left().count();
    let done = outcome.done.len();
    let took = words::took(took);
    let participle = participle(request);
    let machines: Vec<_> = outcome.done.iter().map(|(machine, _)| machine.as_str()).collect();
    if outcome.exit == Exit::Done {
        let what = match (request, done) {
            (_, 0) => return ("nothing to do".to_owned(), Vec::new()),
            (Request::Restart(_), _) => format!("{done} of {total}"),
            _ => words::list(&machines),
        };
        return (format!("{what} {participle} in {took}."), Vec::new());
    }
    let mut next = outcome.hints.clone();
    let failed = outcome.left().next().map(|(machine, _)| machine.as_str()).unwrap_or_default();
    let untouched: Vec<_> = outcome.untouched.iter().map(|(machine, _)| machine.as_str()).collect();
    let mut state = format!("{done} of {total} {participle}");
    if !untouched.is_empty() {
        let mut names = untouched;
        names.dedup();
        state.push_str(&format!("; not touched: {}", names.join(", ")));
    }
    let verb = match outcome.exit {
        Exit::Refused => return (format!("refused: {}", outcome.message), next),
        Exit::Interrupted => "interrupted",
        Exit::TimedOut => "timed out",
        _ => "stopped",
    };
    let message = match outcome.message.as_str() {
        "interrupted" => format!("before {failed} was changed any further"),
        message => message.to_owned(),
    };
    next.extend(go_on(request, outcome, reason));
    (format!("{verb}: {message} ({state})"), next)
}

fn participle(request: &Request) -> &'static str {
    match request {
        Request::Restart(_) => "restarted",
        Request::Reboot(_) => "rebooted",
        Request::Cordon(_) => "cordoned",
        Request::Uncordon(_) => "uncordoned",
        Request::Drain { .. } => "drained",
    }
}

/// The command that does what is left.
fn go_on(request: &Request, outcome: &Outcome, reason: &str) -> Option<String> {
    let left = outcome.left().filter(|(machine, _)| outcome.in_doubt.as_ref() != Some(machine));
    let mut machines: Vec<_> = left.map(|(machine, _)| machine.as_str()).collect();
    let mut components: Vec<_> = outcome.left().filter_map(|(_, component)| component.as_deref()).collect();
    machines.sort_unstable();
    machines.dedup();
    components.dedup();
    let verb = match request {
        Request::Restart(_) if components.len() == 1 => {
            return Some(format!(
                "when it is mended: usher restart {} --nodes {} -r {reason:?}",
                components.join(" "),
                machines.join(",")
            ));
        }
        Request::Restart(_) => {
            return Some(format!("when it is mended: usher restart {} -r {reason:?}", components.join(" ")));
        }
        Request::Reboot(_) => "reboot",
        Request::Cordon(_) => "cordon",
        Request::Uncordon(_) => "uncordon",
        Request::Drain { .. } => "drain",
    };
    (!machines.is_empty()).then(|| format!("to go on: usher {verb} {} -r {reason:?}", machines.join(" ")))
}

impl Report {
    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        for (machine, pods) in &self.pods {
            let mut placed: Vec<_> = pods.by_node.iter().map(|(node, count)| format!("{count} on {node}")).collect();
            if pods.unscheduled > 0 {
                placed.push(format!("{} on no node yet", pods.unscheduled));
            }
            if pods.without_successor > 0 {
                placed.push(format!("{} without a successor", pods.without_successor));
            }
            lines.push(format!("Pods of {machine}: {}.", placed.join(", ")));
        }
        if self.exit == Exit::Done && !self.pods.is_empty() {
            lines.push("Pods do not come back by themselves.".to_owned());
        }
        lines.extend(self.details.iter().map(|line| format!("  {line}")));
        lines.extend(self.next.iter().map(|line| format!("  {line}")));
        if self.exit != Exit::Done {
            let nothing = if self.exit == Exit::Refused { "nothing was changed " } else { "" };
            lines.push(format!("{nothing}(exit {})", self.exit_code));
        }
        lines.join("\n")
    }
}
