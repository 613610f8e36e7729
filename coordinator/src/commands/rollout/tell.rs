//! Progress of a run: a line for each event, on standard error.

use std::time::Duration;

use serde::Serialize;
use usher_common::clock;

use crate::{
    output::{Mark, mark},
    progress::Progress,
    text,
    workloads::rollout::{Ended, Event},
};

#[derive(Serialize)]
struct Timed<'a> {
    at: jiff::Timestamp,
    #[serde(flatten)]
    event: &'a Event,
}

/// Shows an event as the flags want it.
pub(super) fn tell(progress: Progress, event: &Event) {
    let at = clock::now();
    progress.event(&Timed { at, event }, || format!("{} {}", at.strftime("%H:%M:%SZ"), line(event)));
}

fn line(event: &Event) -> String {
    match event {
        Event::Began { workload, number, of } => format!("{workload}: begins ({number} of {of})"),
        Event::Waiting { workload, what, why } => indented(format!("{workload}: {what}"), why),
        Event::Ended { workload, ended, seconds, why } => {
            let took = text::took(Duration::from_secs_f64(*seconds));
            match ended {
                Ended::Complete => indented(format!("{} {workload}: complete after {took}", mark(Mark::Done)), why),
                Ended::Begun => indented(format!("{} {workload}: changed", mark(Mark::Done)), why),
                Ended::NotBegun => format!("{workload}: not begun"),
                Ended::Failed => indented(format!("{} {workload}: FAILED after {took}", mark(Mark::Failed)), why),
                Ended::TimedOut => {
                    indented(format!("{} {workload}: NOT COMPLETE after {took}", mark(Mark::Failed)), why)
                }
                Ended::UnderWay => indented(format!("{} {workload}: UNKNOWN", mark(Mark::Failed)), why),
            }
        }
    }
}

/// Lines below a line.
pub(super) fn indented(first: String, lines: &[String]) -> String {
    lines.iter().fold(first, |text, line| format!("{text}\n    {line}"))
}
