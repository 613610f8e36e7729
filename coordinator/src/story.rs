//! What happened in an operation, from its events: turns with their steps, and what was seen of leaders, apiservers and budgets
//! meanwhile. For readers that want the whole of it; what it keeps is bounded, and counted where it is left out.

mod turn;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

pub(crate) use self::turn::{Step, Turn};
use crate::{
    event::{Event, Kind},
    exit::Exit,
};

/// The story keeps at most this many turns, warnings, and events of a kind that this version does not know.
const MOST_TURNS: usize = 2000;
const MOST_WARNINGS: usize = 500;
const MOST_UNKNOWN: usize = 500;
/// At most this many components, apiservers and budgets each, and changes of one of them.
const MOST_LANES: usize = 100;
const MOST_CHANGES: usize = 500;

/// One operation.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) began: Option<Began>,
    /// By number.
    pub(crate) turns: BTreeMap<usize, Turn>,
    /// Who leads each component, since when.
    pub(crate) leaders: BTreeMap<String, Vec<Since<Option<String>>>>,
    /// Why each machine's apiserver is not ready, since when; None where it is.
    pub(crate) apiservers: BTreeMap<String, Vec<Since<Option<String>>>>,
    /// How many pods of which turns each budget keeps, since when.
    pub(crate) budgets: BTreeMap<String, Vec<Since<BTreeMap<usize, usize>>>>,
    pub(crate) warnings: Vec<(Timestamp, String)>,
    pub(crate) unknown: Vec<Unknown>,
    pub(crate) ended: Option<Ended>,
    /// The times of the earliest and the latest event.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
    pub(crate) events: usize,
    /// Turns, warnings, changes and unknown events that are too many to be shown.
    pub(crate) left_out: usize,
}

/// What is so from a moment on, until the next one in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Since<T> {
    pub(crate) at: Timestamp,
    pub(crate) what: T,
}

#[derive(Debug)]
pub(crate) struct Began {
    pub(crate) operation: String,
    pub(crate) command: String,
    pub(crate) cluster: String,
    pub(crate) reason: String,
    pub(crate) requester: String,
    pub(crate) task_id: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) details: Vec<String>,
    pub(crate) next: Vec<String>,
}

/// An event of a kind that this version does not know, or of a command that has no turns.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) at: Option<Timestamp>,
    pub(crate) event: String,
    /// Its other fields: `name: value`.
    pub(crate) fields: Vec<String>,
}

impl Unknown {
    /// None if it is no event at all.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let event = object.get("event")?.as_str()?.to_owned();
        let at = object.get("at").and_then(Value::as_str).and_then(|at| at.parse().ok());
        let told = object.iter().filter(|(name, value)| !matches!(name.as_str(), "event" | "at") && !value.is_null());
        let in_words = |(name, value): (&String, &Value)| match value {
            Value::String(text) => format!("{name}: {text}"),
            other => format!("{name}: {other}"),
        };
        Some(Self { at, event, fields: told.map(in_words).collect() })
    }
}

impl Story {
    pub(crate) fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Takes an event into account.
    pub(crate) fn add(&mut self, event: Event) {
        let Event { at, kind } = event;
        self.seen(Some(at));
        match kind {
            // Of no turn; the page has them as notes.
            Kind::Notice { .. } | Kind::Planned { .. } | Kind::Asked { .. } | Kind::Logged { .. } => {}
            Kind::Began { operation, command, cluster, reason, requester, task_id } => {
                self.began = Some(Began { operation, command, cluster, reason, requester, task_id });
            }
            Kind::ControlPlane { leaders, apiservers } => self.control_plane(at, &leaders, apiservers),
            Kind::TurnBegan { turn, machine, component } => self.of_turn(turn, at, |turn| {
                turn.machine = machine;
                turn.component = component;
            }),
            Kind::Blocked { turn, budgets, .. } => self.blocked(at, turn, &budgets),
            Kind::StepBegan { turn, step } => self.of_turn(turn, at, |turn| turn.step_began(at, step)),
            Kind::Waiting { turn, step, what } => self.of_turn(turn, at, |turn| turn.waits(at, &step, what)),
            Kind::Fact { turn, step, what } => self.of_turn(turn, at, |turn| turn.fact(at, &step, what)),
            Kind::StepFailed { turn, step, message, details } => {
                self.of_turn(turn, at, |turn| turn.failed(at, &step, message, details));
            }
            Kind::Undone { turn, step, what } => self.of_turn(turn, at, |turn| turn.undone(at, &step, &what)),
            Kind::TurnEnded { turn, done, took } => {
                self.of_turn(turn, at, |turn| turn.end(at, done, took));
                self.blocked(at, turn, &BTreeMap::new());
            }
            Kind::Warned { message } => match self.warnings.len() < MOST_WARNINGS {
                true => self.warnings.push((at, message)),
                false => self.left_out += 1,
            },
            Kind::Ended { exit, message, details, next } => {
                self.ended = Some(Ended { exit, message, details, next });
            }
        }
    }

    pub(crate) fn add_unknown(&mut self, event: Unknown) {
        self.seen(event.at);
        match self.unknown.len() < MOST_UNKNOWN {
            true => self.unknown.push(event),
            false => self.left_out += 1,
        }
    }

    fn seen(&mut self, at: Option<Timestamp>) {
        self.events += 1;
        if let Some(at) = at {
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
        }
    }

    /// The turn of this number; None if there are too many.
    fn turn(&mut self, number: usize, at: Timestamp) -> Option<&mut Turn> {
        if self.turns.len() >= MOST_TURNS && !self.turns.contains_key(&number) {
            return None;
        }
        Some(self.turns.entry(number).or_insert_with(|| Turn::unnamed(at)))
    }

    fn of_turn(&mut self, number: usize, at: Timestamp, change: impl FnOnce(&mut Turn)) {
        match self.turn(number, at) {
            Some(turn) => change(turn),
            None => self.left_out += 1,
        }
    }

    fn control_plane(
        &mut self,
        at: Timestamp,
        leaders: &BTreeMap<String, String>,
        apiservers: BTreeMap<String, Option<String>>,
    ) {
        for component in leaders.keys() {
            self.left_out += usize::from(!lane(&mut self.leaders, component));
        }
        for (component, changes) in &mut self.leaders {
            self.left_out += usize::from(!change(changes, at, leaders.get(component).cloned()));
        }
        for (machine, doubt) in apiservers {
            lane(&mut self.apiservers, &machine);
            let added = self.apiservers.get_mut(&machine).is_some_and(|changes| change(changes, at, doubt));
            self.left_out += usize::from(!added);
        }
    }

    fn blocked(&mut self, at: Timestamp, turn: usize, now: &BTreeMap<String, usize>) {
        for budget in now.keys() {
            self.left_out += usize::from(!lane(&mut self.budgets, budget));
        }
        for (budget, changes) in &mut self.budgets {
            let mut turns = changes.last().map(|last| last.what.clone()).unwrap_or_default();
            match now.get(budget) {
                Some(pods) => turns.insert(turn, *pods),
                None => turns.remove(&turn),
            };
            self.left_out += usize::from(!change(changes, at, turns));
        }
    }
}

/// Makes room for what will be told of one of them. False if there are too many.
fn lane<T>(lanes: &mut BTreeMap<String, Vec<Since<T>>>, name: &str) -> bool {
    if lanes.contains_key(name) {
        return true;
    }
    let has_room = lanes.len() < MOST_LANES;
    if has_room {
        lanes.insert(name.to_owned(), Vec::new());
    }
    has_room
}

/// Adds what is so from now on. False if there are too many changes already.
fn change<T: PartialEq>(changes: &mut Vec<Since<T>>, at: Timestamp, what: T) -> bool {
    if changes.last().is_some_and(|last| last.what == what) {
        return true;
    }
    if changes.len() >= MOST_CHANGES {
        return false;
    }
    changes.push(Since { at, what });
    true
}
