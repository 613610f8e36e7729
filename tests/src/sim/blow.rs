//! What goes wrong in a history, and when.

use std::time::Duration;

use crate::systemd::CallMoment;

/// A moment between two things that the world can tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The machine whose agent is at it; none if it is the coordinator's.
    pub machine: Option<&'static str>,
    /// What is being done.
    pub what: String,
    /// Whether it is done already.
    pub at: CallMoment,
}

/// When something goes wrong. All are counted from the beginning of the first command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At the n-th moment, from 0: a write to the API, a write of an agent's store, a call of systemd or login1; each before it is
    /// done, and after it was and before anybody is told.
    Moment(usize),
    /// When the first coordinator runs for the first time after the n-th thing that the world has seen.
    Look(usize),
    /// With the n-th request to the API.
    Request(usize),
    /// After this time.
    Time(Duration),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blow {
    /// `kill -9` of the first coordinator.
    Kill,
    /// The first coordinator is stopped, and goes on after this time.
    Freeze(Duration),
    /// `kill -9` of an agent, which is started again 2 s later: of this machine's, else of the one whose moment it is.
    KillAgent(Option<&'static str>),
    /// All connections to an agent are reset.
    Reset(&'static str),
    /// No packet gets through between the coordinators and a machine for this time.
    Partition(&'static str, Duration),
    /// The address of the first machine is the second one's for this time: who connects to one reaches the other.
    Misrouted(&'static str, &'static str, Duration),
    /// Nobody answers for the API for this time.
    NoApi(Duration),
    /// A machine loses its power and boots at once.
    PowerLoss(&'static str),
    /// One request to the API fails.
    Api(ApiFault),
    /// The apiserver of a machine is not ready for this time, and its unit runs.
    NotReady(&'static str, Duration),
    /// Somebody cordons a Node by hand: on top of usher's cordon, so that it is theirs.
    CordonedByHand(&'static str),
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiFault {
    /// The connection is refused.
    Refuse,
    /// The server says 500.
    Fail,
    /// It is done, and the connection breaks before the answer.
    LoseAnswer,
}

/// Something that goes wrong at its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its moment.
    pub when: When,
    /// What happens.
    pub blow: Blow,
}

impl Fault {
    /// See the fields.
    pub fn new(when: When, blow: Blow) -> Self {
        Self { when, blow }
    }
}
