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

/// What happened to each machine so far: a fold of events, so that a night of them need not be kept.
#[derive(Debug, Default)]
pub struct Turns(BTreeMap<usize, TurnReport>);

impl Turns {
    /// Takes an event into account.
    pub fn add(&mut self, event: &Event) {
        match &event.kind {
            Kind::TurnBegan { turn, machine, component } => {
                let report =
                    TurnReport { machine: machine.clone(), component: component.clone(), ..TurnReport::default() };
                self.0.insert(*turn, report);
            }
            Kind::Fact { turn, step, what } => self.fact(*turn, format!("{step}: {what}")),
            Kind::Undone { turn, step, what } => self.fact(*turn, format!("{step} taken back: {what}")),
            Kind::TurnEnded { turn, done, took } => {
                let report = self.0.entry(*turn).or_default();
                report.done = *done;
                report.took = *took;
            }
            Kind::Began { .. }
            | Kind::StepBegan { .. }
            | Kind::Waiting { .. }
            | Kind::StepFailed { .. }
            | Kind::Warned { .. }
            | Kind::Ended { .. } => {}
        }
    }

    fn fact(&mut self, turn: usize, fact: String) {
        self.0.entry(turn).or_default().facts.push(fact);
    }

    /// The turns in the order in which they began.
    pub fn into_reports(self) -> Vec<TurnReport> {
        self.0.into_values().collect()
    }
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
        if let Some(pods) = &self.pods {
            lines.push(format!("Pods of {}: {}.", machines(&self.drained), places(pods)));
            if self.exit == Exit::Done {
                lines.push("Pods do not come back by themselves.".to_owned());
            }
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

/// Up to this many are named one by one.
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
    fn a_turn_is_told_with_what_it_brought_about_and_what_was_taken_back() {
        let (w1, drain) = ("w1".to_owned(), "drain".to_owned());
        let mut turns = Turns::default();
        for kind in [
            Kind::TurnBegan { turn: 2, machine: "w2".into(), component: None },
            Kind::TurnBegan { turn: 1, machine: w1, component: None },
            Kind::Waiting { turn: 1, step: drain.clone(), what: "3 pods left".into() },
            Kind::Fact { turn: 1, step: drain, what: "8 pods moved".into() },
            Kind::Undone { turn: 1, step: "cordon".into(), what: "uncordoned".into() },
            Kind::TurnEnded { turn: 1, done: false, took: 4.5 },
        ] {
            turns.add(&Event { at: jiff::Timestamp::UNIX_EPOCH, kind });
        }
        let reports = turns.into_reports();
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
