//! What happens while an operation runs, as one stream. Progress on a terminal, plain lines, JSON lines and the final
//! report are readers of it; no step prints. `usher report` reads the JSON lines back, also those of other versions: what is
//! newer than the first release has a default.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{exit::Exit, target::Target};

/// Something happened, at this time by our clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub at: Timestamp,
    #[serde(flatten)]
    pub kind: Kind,
}

/// The kinds of event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Kind {
    /// Something that is said outside of any turn: which cluster would be changed, what usher waits for.
    Notice { message: String },
    /// What would be done, before anybody is asked.
    Planned {
        /// Turn by turn, in order.
        turns: Vec<PlannedTurn>,
        /// What the operator should know before saying yes.
        warnings: Vec<String>,
        /// The same as people read it, with what its drains would find, a line each.
        text: Vec<String>,
    },
    /// The operator is asked, and types a line.
    Asked { question: String },
    /// A line of the log, for developers.
    Logged { message: String },
    /// The operation begins; the lock is held.
    Began {
        operation: String,
        /// The command, such as `restart`.
        command: String,
        cluster: String,
        reason: String,
        /// The person, as `user@host`.
        #[serde(default)]
        requester: String,
        /// The ticket that the change belongs to.
        #[serde(default)]
        task_id: Option<String>,
    },
    /// What the control plane was seen to be, whenever that has changed since it was read last.
    ControlPlane {
        /// The machine that leads each elected component. A component that nobody is seen to lead is missing.
        leaders: BTreeMap<String, String>,
        /// Each apiserver's machine, and why it is not ready; None if it is.
        apiservers: BTreeMap<String, Option<String>>,
    },
    /// A machine's turn begins.
    TurnBegan {
        /// Which turn, from 1.
        turn: usize,
        machine: String,
        /// The component whose restart this is, if it is one.
        component: Option<String>,
    },
    StepBegan {
        turn: usize,
        /// One word: `drain`.
        step: String,
    },
    /// What a step is waiting for now; replaces what it said before.
    Waiting { turn: usize, step: String, what: String },
    /// Which disruption budgets keep pods of a drain, whenever that changes; none once nothing is kept any more.
    Blocked {
        turn: usize,
        step: String,
        /// How many pods wait for each budget, as `namespace/name`.
        budgets: BTreeMap<String, usize>,
    },
    /// A step has brought something about, with the evidence.
    Fact {
        turn: usize,
        step: String,
        /// In words: `restarted in 3.8s (a1f0… → 77c2…)`.
        what: String,
    },
    StepFailed {
        turn: usize,
        step: String,
        message: String,
        /// More lines: a journal, blocked pods.
        details: Vec<String>,
    },
    /// A step that had been done was taken back.
    Undone {
        turn: usize,
        /// The step taken back.
        step: String,
        what: String,
    },
    /// A machine's turn ended.
    TurnEnded {
        turn: usize,
        /// Whether all its steps are done.
        done: bool,
        /// In seconds.
        #[serde(rename = "tookSeconds")]
        took: f64,
    },
    /// Something an operator should know, that stops nothing.
    Warned { message: String },
    Ended {
        exit: Exit,
        /// What state things are in, in words.
        message: String,
        /// More about it, a line each.
        #[serde(default)]
        details: Vec<String>,
        /// What to do next, a line each; commands can be pasted into a shell.
        #[serde(default)]
        next: Vec<String>,
    },
}

/// A turn of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedTurn {
    #[serde(flatten)]
    pub target: Target,
    /// The components that its machine leads.
    pub leads: Vec<String>,
    /// Its steps, each in one word: `drain`.
    pub steps: Vec<String>,
}

impl Event {
    /// An event that happens now.
    pub fn now(kind: Kind) -> Self {
        Self { at: usher_common::clock::now(), kind }
    }
}

/// Where events go. Cheap to clone; sending never waits and never fails.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::UnboundedSender<Event>,
}

impl Events {
    /// A stream of events and the end that reads it. It ends when every [`Events`] is dropped.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, receiver)
    }

    pub fn send(&self, kind: Kind) {
        // A reader that went away must not stop an operation on a machine.
        let _ = self.sender.send(Event::now(kind));
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.send(Kind::Warned { message: message.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_first_release_is_read_and_fields_of_a_later_one_are_ignored() {
        let began = r#"{"at":"2026-11-26T01:02:03Z","event":"began","operation":"4f7k2","command":"reboot","cluster":"eqiad",
            "reason":"kernel"}"#;
        let Kind::Began { requester, task_id, .. } = serde_json::from_str::<Event>(began).unwrap().kind else {
            panic!("not what began")
        };
        assert_eq!((requester.as_str(), task_id), ("", None));
        let ended =
            r#"{"at":"2026-11-26T01:02:03Z","event":"turnEnded","turn":1,"done":true,"tookSeconds":4.5,"by":"magic"}"#;
        assert_eq!(
            serde_json::from_str::<Event>(ended).unwrap().kind,
            Kind::TurnEnded { turn: 1, done: true, took: 4.5 }
        );
    }

    #[test]
    fn an_event_is_read_back_as_it_was_written() {
        let budgets = BTreeMap::from([("web/web".to_owned(), 2)]);
        let event = Event { at: Timestamp::UNIX_EPOCH, kind: Kind::Blocked { turn: 3, step: "drain".into(), budgets } };
        let written = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&written).unwrap(), event, "{written}");
    }
}
