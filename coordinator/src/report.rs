//! The report: what an operation did and where it left things, from its events and its outcome.

mod text;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use self::text::{followed, leaders_in_words, rebalance_them, summary, to_go_on};
use crate::{
    drain::Whereabouts,
    event::{Event, Kind},
    exit::Exit,
    operation::{Ended, FollowUp, NodeChange},
    plan::Target,
    rebalance::Moved,
    request::Request,
    runner::Outcome,
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
    /// The Nodes of rebooted machines, before and after.
    pub nodes: Vec<NodeChange>,
    /// Pods that were moved by a rebalance, in the order in which their successors became ready.
    pub moves: Vec<Moved>,
    /// How the rebalance ended that followed a reboot; None if none was wanted, or it did not come to that.
    pub rebalance: Option<Outcome>,
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
            Kind::Notice { .. }
            | Kind::Planned { .. }
            | Kind::Asked { .. }
            | Kind::Logged { .. }
            | Kind::Began { .. }
            | Kind::ControlPlane { .. }
            | Kind::Blocked { .. }
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
        let Ended { outcome, mut took, rebalance, nodes, leaders, pods } = ended;
        let mut summary = summary(request, &outcome, took);
        summary.extend(leaders.as_ref().map(leaders_in_words));
        let (mut details, mut next) =
            outcome.problem.clone().map(|problem| (problem.details, problem.hints)).unwrap_or_default();
        if !outcome.exit.changed_nothing() {
            next.extend(to_go_on(request, &outcome));
        }
        let mut exit = outcome.exit;
        let mut moves = outcome.relocated;
        let mut after = None;
        match rebalance {
            Some(follow_up) => {
                took += follow_up.took;
                summary.push_str(&followed(&follow_up));
                let FollowUp { request, outcome, .. } = follow_up;
                if let Some(problem) = &outcome.problem {
                    // The machines have rebooted, whatever became of their pods.
                    exit = if outcome.exit == Exit::Interrupted { outcome.exit } else { Exit::Partly };
                    details.extend(problem.details.iter().cloned());
                    next.extend(problem.hints.iter().cloned());
                    next.extend(to_go_on(&request, &outcome));
                }
                moves.extend(outcome.relocated.iter().cloned());
                after = Some(outcome);
            }
            None if exit == Exit::Done => next.extend(rebalance_them(request, &nodes)),
            None => {}
        }
        Self {
            operation: operation.to_owned(),
            cluster: cluster.to_owned(),
            exit,
            exit_code: exit.code(),
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
            nodes,
            moves,
            rebalance: after,
        }
    }

    /// The report with what happened on the way.
    #[must_use]
    pub fn with(self, Digest { turns, warnings }: Digest) -> Self {
        Self { turns: turns.into_values().collect(), warnings, ..self }
    }
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
}
