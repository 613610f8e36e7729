//! What happens while an operation runs, as one stream. Progress on a terminal, plain lines, JSON lines and the final
//! report are readers of it; no step prints.

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::exit::Exit;

/// Something happened, at this time by our clock.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub at: Timestamp,
    #[serde(flatten)]
    pub kind: Kind,
}

/// The kinds of event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Kind {
    /// The operation begins; the lock is held.
    Began {
        operation: String,
        /// The command, such as `restart`.
        command: String,
        cluster: String,
        reason: String,
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
    },
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
        let _ = self.sender.send(Event { at: usher_common::clock::now(), kind });
    }

    pub fn warn(&self, message: impl Into<String>) {
        self.send(Kind::Warned { message: message.into() });
    }
}
