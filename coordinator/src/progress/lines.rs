//! Progress as lines: for pipes and logs, and as JSON for programs.

use std::collections::BTreeMap;

use super::Reader;
use crate::{
    event::{Event, Kind},
    output, text,
};

/// One line for each event: time, machine, step, what happened.
#[derive(Debug, Default)]
pub(super) struct Plain {
    machines: BTreeMap<usize, String>,
    /// The last line about what each turn waits for, so that it is not repeated.
    waiting: BTreeMap<usize, String>,
}

impl Reader for Plain {
    fn read(&mut self, event: &Event) {
        if let Kind::TurnBegan { turn, machine, component } = &event.kind {
            let subject = match component {
                Some(component) => format!("{machine} {component}"),
                None => machine.clone(),
            };
            self.machines.insert(*turn, subject);
        }
        if let Some(text) = self.text(&event.kind) {
            output::progress(&format!("{} {text}", event.at.strftime("%H:%M:%SZ")));
        }
    }
}

impl Plain {
    fn text(&mut self, kind: &Kind) -> Option<String> {
        let subject = |turn: &usize| self.machines.get(turn).cloned().unwrap_or_default();
        Some(match kind {
            Kind::Began { operation, reason, .. } => format!("operation {operation} ({reason:?})"),
            Kind::TurnBegan { turn, .. } => format!("{}: begins", subject(turn)),
            Kind::Fact { turn, step, what } => format!("{}: {step}: {what}", subject(turn)),
            Kind::Waiting { turn, step, what } => {
                let text = format!("{}: {step}: {what}", subject(turn));
                // A log tells once what a step waits for; only a terminal counts down.
                let stem: String = text.chars().filter(|char| !char.is_ascii_digit()).collect();
                if self.waiting.get(turn) == Some(&stem) {
                    return None;
                }
                self.waiting.insert(*turn, stem);
                text
            }
            Kind::StepFailed { turn, step, message, details } => {
                let mut text = format!("{}: {step}: FAILED: {message}", subject(turn));
                for line in details {
                    text.push_str("\n    ");
                    text.push_str(line);
                }
                text
            }
            Kind::Undone { turn, step, what } => format!("{}: {step} taken back: {what}", subject(turn)),
            Kind::TurnEnded { turn, done, took } => {
                let state = if *done { "done" } else { "stopped" };
                format!("{}: {state} after {}", subject(turn), text::took(std::time::Duration::from_secs_f64(*took)))
            }
            Kind::Warned { message } => format!("Warning: {message}"),
            // Said where it happens.
            Kind::Notice { .. } | Kind::Planned { .. } | Kind::Asked { .. } | Kind::Logged { .. } => return None,
            // The step's own lines say it, or the report has it.
            Kind::ControlPlane { .. } | Kind::StepBegan { .. } | Kind::Blocked { .. } | Kind::Ended { .. } => {
                return None;
            }
        })
    }
}

/// One JSON object for each event, a line each.
#[derive(Debug)]
pub(super) struct Json;

impl Reader for Json {
    fn read(&mut self, event: &Event) {
        output::event(event);
    }
}
