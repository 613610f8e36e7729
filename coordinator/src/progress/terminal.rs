//! Progress on a terminal: what is done stands still, what happens now changes in place.
//!
//! A restart has one line for each machine, the turn of a reboot one line for each step. Where several machines are under way
//! together, each line begins with its machine.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::Reader;
use crate::{
    event::{Event, Kind},
    output::{self, Mark},
    text,
};

/// Often enough to look alive, rarely enough for a slow link.
const TICK: Duration = Duration::from_millis(120);

pub(super) struct Terminal {
    bar: ProgressBar,
    turns: BTreeMap<usize, TurnLine>,
}

/// What has been heard of a turn.
#[derive(Debug, Default)]
struct TurnLine {
    machine: String,
    component: Option<String>,
    step: String,
    facts: Vec<String>,
    waiting: String,
    failed: bool,
}

impl Terminal {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed:>4}") {
            bar.set_style(style.tick_chars("◐◓◑◒ "));
        }
        Self { bar, turns: BTreeMap::new() }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| output::progress(line));
    }

    fn refresh(&self, turn: usize) {
        let Some(line) = self.turns.get(&turn) else { return };
        let text = match line.is_joined() {
            true => {
                let now = if line.waiting.is_empty() { &line.step } else { &line.waiting };
                line.facts.iter().chain([now]).cloned().collect::<Vec<_>>().join(" · ")
            }
            false => format!("{:<10} {}", line.step, line.waiting),
        };
        let others = match self.turns.len() {
            0 | 1 => String::new(),
            several => format!("{several} machines under way · "),
        };
        self.bar.set_message(format!("{others}{}  {}", line.machine, text));
    }

    /// A line about a step: below its machine's name, or behind it if other machines have lines as well.
    fn say_step(&self, turn: usize, step: &str, what: &str) {
        let machine = self.turns.get(&turn).map(|line| line.machine.as_str()).unwrap_or_default();
        match self.turns.len() {
            0 | 1 => self.say(&format!("  {step:<10} {what}")),
            _ => self.say(&format!("{machine}  {step:<10} {what}")),
        }
    }
}

impl TurnLine {
    fn is_joined(&self) -> bool {
        self.component.is_some()
    }
}

impl Reader for Terminal {
    fn read(&mut self, event: &Event) {
        match &event.kind {
            Kind::Began { .. } | Kind::Ended { .. } => self.bar.finish_and_clear(),
            Kind::TurnBegan { turn, machine, component } => {
                let joined = component.is_some();
                let line = TurnLine { machine: machine.clone(), component: component.clone(), ..TurnLine::default() };
                self.turns.insert(*turn, line);
                if !joined {
                    self.say(machine);
                }
                self.bar.reset();
                self.bar.enable_steady_tick(TICK);
                self.refresh(*turn);
            }
            Kind::StepBegan { turn, step } => {
                if let Some(line) = self.turns.get_mut(turn) {
                    line.step.clone_from(step);
                    line.waiting.clear();
                }
                self.refresh(*turn);
            }
            Kind::Waiting { turn, what, .. } => {
                if let Some(line) = self.turns.get_mut(turn) {
                    line.waiting.clone_from(what);
                }
                self.refresh(*turn);
            }
            Kind::Fact { turn, step, what } => {
                let Some(line) = self.turns.get_mut(turn) else { return };
                line.waiting.clear();
                if line.is_joined() {
                    line.facts.push(what.clone());
                    self.refresh(*turn);
                } else {
                    self.say_step(*turn, step, what);
                }
            }
            Kind::StepFailed { turn, step, message, details } => {
                let Some(line) = self.turns.get_mut(turn) else { return };
                line.failed = true;
                let joined = line.is_joined().then(|| {
                    format!(
                        "{} {}  {}",
                        output::mark(Mark::Failed),
                        line.machine,
                        line.facts.iter().chain([message]).cloned().collect::<Vec<_>>().join(" · ")
                    )
                });
                match joined {
                    Some(text) => self.say(&text),
                    None => self.say_step(*turn, step, &format!("{} {message}", output::mark(Mark::Failed))),
                }
                for detail in details {
                    self.say(&format!("      {detail}"));
                }
            }
            Kind::Undone { turn, step, what } => self.say_step(*turn, step, &format!("taken back: {what}")),
            Kind::TurnEnded { turn, done, took } => {
                let ended = self.turns.remove(turn);
                if self.turns.is_empty() {
                    self.bar.disable_steady_tick();
                    self.bar.finish_and_clear();
                }
                let Some(line) = ended else { return };
                if line.is_joined() && *done {
                    let took = text::took(Duration::from_secs_f64(*took));
                    let facts = line.facts.join(" · ");
                    output::progress(&format!("{} {}  {facts}  {took}", output::mark(Mark::Done), line.machine));
                }
            }
            Kind::Warned { message } => self.say(&format!("Warning: {message}")),
            // What waits for them says so.
            Kind::ControlPlane { .. } | Kind::Blocked { .. } => {}
            // Said where it happens.
            Kind::Notice { .. } | Kind::Planned { .. } | Kind::Asked { .. } | Kind::Logged { .. } => {}
        }
    }
}
