//! What keeps usher from its work at a site, and what mends it: rules over facts that somebody else has read.
//!
//! Each rule answers with findings: what is well in one line, what is not in a line each, with the command or the key that mends it.

mod agents;
mod certificate;
mod control_plane;
mod etcd;
mod rights;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use self::{
    agents::agents,
    certificate::{CertificateFacts, certificate},
    control_plane::control_plane,
    etcd::etcd,
    rights::rights,
};
use crate::{problem::Problem, text::apart};

/// Clocks that are further apart than this make logs hard to read; certificates bear far more.
const CLOCK_BEARS: SignedDuration = SignedDuration::from_secs(5);

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    Ok,
    /// usher works, but not as well as it could, or not for long.
    Warning,
    /// Something that usher does will fail.
    Wrong,
}

impl State {
    /// Its word in a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Wrong => "WRONG",
        }
    }
}

/// What is examined, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    ClusterFile,
    Certificate,
    Api,
    Clock,
    Rights,
    Lock,
    ControlPlane,
    Etcd,
    Agents,
    LoadBalancer,
}

impl Check {
    /// Its word in a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::ClusterFile => "cluster file",
            Self::Certificate => "certificate",
            Self::Api => "API",
            Self::Clock => "clock",
            Self::Rights => "rights",
            Self::Lock => "lock",
            Self::ControlPlane => "control plane",
            Self::Etcd => "etcd",
            Self::Agents => "agents",
            Self::LoadBalancer => "load balancer",
        }
    }
}

/// One thing that was examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub state: State,
    pub check: Check,
    /// What is so, in one line.
    pub message: String,
    /// The machines that it is about, if it is about some.
    pub machines: Vec<String>,
    /// The command or the key that mends it, if something does.
    pub mend: Option<String>,
    /// Lines that belong to it, such as rules to be pasted.
    pub details: Vec<String>,
}

impl Finding {
    pub fn new(state: State, check: Check, message: impl Into<String>) -> Self {
        Self { state, check, message: message.into(), machines: Vec::new(), mend: None, details: Vec::new() }
    }

    pub fn ok(check: Check, message: impl Into<String>) -> Self {
        Self::new(State::Ok, check, message)
    }

    pub fn warning(check: Check, message: impl Into<String>) -> Self {
        Self::new(State::Warning, check, message)
    }

    pub fn wrong(check: Check, message: impl Into<String>) -> Self {
        Self::new(State::Wrong, check, message)
    }

    /// A problem that an examination ran into.
    pub fn of_problem(check: Check, problem: Problem) -> Self {
        let Problem { message, details, hints, .. } = problem;
        let mut hints = hints.into_iter();
        Self { mend: hints.next(), details: details.into_iter().chain(hints).collect(), ..Self::wrong(check, message) }
    }

    #[must_use]
    pub fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }

    #[must_use]
    pub fn on(self, machine: &str) -> Self {
        Self { machines: vec![machine.to_owned()], ..self }
    }

    #[must_use]
    pub fn details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

/// How far the API server's clock is ahead of this machine's; None if no answer showed it.
pub fn clock(ahead: Option<SignedDuration>) -> Finding {
    let Some(ahead) = ahead else {
        return Finding::warning(
            Check::Clock,
            "the API server does not show its clock, as behind a proxy that strips the date",
        );
    };
    match apart(ahead, CLOCK_BEARS) {
        None => Finding::ok(Check::Clock, "this machine and the API server agree"),
        Some(words) => Finding::warning(Check::Clock, format!("the API server's clock is {words} this machine's"))
            .mend("timedatectl"),
    }
}

/// Whole days until then; negative once it is past.
fn days_left(until: Timestamp, now: Timestamp) -> i64 {
    until.duration_since(now).as_hours() / 24
}

/// The worst of them.
pub fn worst(findings: &[Finding]) -> State {
    findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
}

#[cfg(test)]
mod tests;
