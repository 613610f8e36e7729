//! One run of a request: its identity, the ids of its calls to agents, and what its turns were before they began.

mod baseline;

use serde::{Deserialize, Serialize};
use usher_common::clock;

pub use self::baseline::Baseline;
use crate::{
    facts::{agent::Order, node::CordonMark},
    request::Request,
};

/// An operation, who runs it, and under which lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mandate {
    /// Five letters and digits.
    pub operation: String,
    /// The person, as `user@host`.
    pub requester: String,
    /// The transitions of the cluster's lock; 0 for operations that need none.
    pub epoch: u64,
}

/// A new operation's id: letters and digits that cannot be mistaken for one another when read aloud.
///
/// An agent answers a call under an id that it remembers with what it did then, so no id may come twice: of 40 bits, a thousand that an
/// agent remembers meet a new one once in a billion operations.
pub fn new_id() -> String {
    const ALPHABET: &[u8] = b"23456789abcdefghijkmnpqrstuvwxyz";
    const LENGTH: usize = 8;
    (0..LENGTH).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])).collect()
}

/// The place of a call to an agent within its operation. A run that is resumed makes the same call under the same id, and the
/// agent answers with what it did the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The turn, from 1.
    pub turn: usize,
    /// The step within the turn, from 1.
    pub step: usize,
    /// The call takes the step back.
    pub undo: bool,
}

impl Mandate {
    /// The order for a call to an agent.
    pub fn order(&self, request: &Request, call: Call) -> Order {
        let Call { turn, step, undo } = call;
        let undo = if undo { ".undo" } else { "" };
        Order {
            operation_id: format!("{}.{turn}.{step}{undo}", self.operation),
            epoch: self.epoch,
            reason: request.reason.clone(),
            task_id: request.task_id.clone(),
            requester: self.requester.clone(),
            dry_run: false,
        }
    }

    /// The mark that goes with a cordon.
    pub fn mark(&self, request: &Request) -> CordonMark {
        CordonMark {
            operation: self.operation.clone(),
            command: request.verb().to_owned(),
            by: self.requester.clone(),
            reason: request.reason.clone(),
            at: clock::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Connection, Kind, OnNodes};

    #[test]
    fn operations_have_eight_letters_and_digits() {
        fastrand::seed(7);
        let ids = [new_id(), new_id()];
        assert!(ids.iter().all(|id| id.len() == 8 && id.chars().all(|char| char.is_ascii_alphanumeric())), "{ids:?}");
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn the_id_of_a_call_follows_from_its_place_and_is_the_same_whenever_it_is_made() {
        let mandate = Mandate { operation: "4f7k2".into(), requester: "ann@host".into(), epoch: 7 };
        let kind = Kind::Cordon(OnNodes { nodes: Vec::new() });
        let request = Request { kind, reason: "x".into(), task_id: None, connection: Connection::default() };
        let id = |turn, step, undo| mandate.order(&request, Call { turn, step, undo }).operation_id;
        assert_eq!((id(3, 5, false), id(3, 5, true)), ("4f7k2.3.5".to_owned(), "4f7k2.3.5.undo".to_owned()));
        assert_eq!(id(3, 5, false), id(3, 5, false));
    }
}
