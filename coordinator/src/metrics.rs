//! What the last change was and how it ended, for Prometheus: a file in the folder that node-exporter's textfile collector
//! reads, since usher itself does not live long enough to be scraped.
//!
//! The file is replaced when a change begins and when it ends. A change that did not begin, as while somebody else holds the
//! lock, leaves it alone: the change that it tells of may be that somebody's. Nothing here holds a change up or makes it fail.

mod textfile;

use std::fmt::Write as _;

use jiff::Timestamp;

pub use self::textfile::Textfile;
use crate::{
    event::{Event, Kind},
    exit::Exit,
    problem::Problem,
    report::Report,
};

/// The variable that says where the file is; it wins over the cluster file.
pub const VARIABLE: &str = "USHER_METRICS_TEXTFILE";

/// A change, as far as it is known.
#[derive(Debug, Default, Clone, PartialEq)]
struct Run {
    cluster: String,
    command: String,
    began: Timestamp,
    /// Apiservers that were ready when the control plane was seen last, and all of them.
    apiservers: Option<(usize, usize)>,
    end: Option<End>,
}

#[derive(Debug, Clone, PartialEq)]
struct End {
    at: Timestamp,
    exit: Exit,
    seconds: f64,
    /// How many turns ended in each state. None if nobody knows: usher was told to leave at once.
    turns: Option<[(&'static str, usize); 4]>,
}

impl End {
    fn of(at: Timestamp, report: &Report) -> Self {
        let in_doubt = usize::from(report.in_doubt.is_some());
        let turns = [
            ("done", report.done.len()),
            ("failed", report.failed.len().saturating_sub(in_doubt)),
            ("in_doubt", in_doubt),
            ("untouched", report.untouched.len()),
        ];
        Self { at, exit: report.exit, seconds: report.took.as_secs_f64(), turns: Some(turns) }
    }
}

impl Run {
    /// Takes an event into account. True if the file is to be written now.
    fn heard(&mut self, event: &Event) -> bool {
        match &event.kind {
            Kind::Began { command, cluster, .. } => {
                *self = Self { cluster: cluster.clone(), command: command.clone(), began: event.at, ..Self::default() };
                true
            }
            Kind::ControlPlane { apiservers, .. } if !apiservers.is_empty() => {
                let ready = apiservers.values().filter(|doubt| doubt.is_none()).count();
                self.apiservers = Some((ready, apiservers.len()));
                false
            }
            _ => false,
        }
    }

    fn ended(&mut self, at: Timestamp, result: Result<&Report, &Problem>) {
        self.end = Some(match result {
            Ok(report) => End::of(at, report),
            Err(problem) => {
                let seconds = at.duration_since(self.began).as_secs_f64().max(0.0);
                End { at, exit: problem.exit(), seconds, turns: None }
            }
        });
    }

    /// Prometheus' text format. The names begin with `usher_coordinator_`; no label has more values than a site has clusters
    /// and usher has commands.
    fn text(&self) -> String {
        let mut text = Text { text: String::new(), of: format!("cluster=\"{}\"", escaped(&self.cluster)) };
        text.gauge("build_info", "The version of usher that ran last.", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let command = [("command", self.command.as_str())];
        let under_way = if self.end.is_none() { 1.0 } else { 0.0 };
        text.gauge("run_in_progress", "Whether a change is under way.", &command, under_way);
        let says = "When the last change began: its lock was held.";
        text.gauge("run_start_timestamp_seconds", says, &command, seconds(self.began));
        if let Some(End { at, exit, seconds: took, turns }) = &self.end {
            text.gauge("last_run_timestamp_seconds", "When the last change ended.", &command, seconds(*at));
            let success = if *exit == Exit::Done { 1.0 } else { 0.0 };
            text.gauge("last_run_success", "Whether the last change is done.", &command, success);
            let says = "The exit code of the last change, as of usher --help.";
            text.gauge("last_run_exit_code", says, &command, exit.code().into());
            text.gauge("last_run_duration_seconds", "How long the last change took.", &command, *took);
            text.family("last_run_turns", "Turns of machines in the last change, by how they ended.");
            for (state, count) in turns.iter().flatten() {
                text.sample("last_run_turns", &[command[0], ("state", state)], *count as f64);
            }
        }
        if let Some((ready, all)) = self.apiservers {
            let says = "Apiservers that were ready when the last change read them last.";
            text.gauge("apiservers_ready", says, &[], ready as f64);
            text.gauge("apiservers", "All apiservers that it read.", &[], all as f64);
        }
        text.text
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

struct Text {
    text: String,
    /// The label that every sample has.
    of: String,
}

impl Text {
    fn gauge(&mut self, name: &str, says: &str, labels: &[(&str, &str)], value: f64) {
        self.family(name, says);
        self.sample(name, labels, value);
    }

    fn family(&mut self, name: &str, says: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "# HELP usher_coordinator_{name} {says}\n# TYPE usher_coordinator_{name} gauge");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.text, "usher_coordinator_{name}{{{}", self.of);
        for (label, is) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(is));
        }
        let _ = writeln!(self.text, "}} {value}");
    }
}

/// The value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
