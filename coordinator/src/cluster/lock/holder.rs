//! Who holds the lock, and whether they live.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use serde::Serialize;
use usher_common::clock;

use crate::{
    cluster::{
        ServerClock,
        leases::{age, renewal_stored},
        names::REASON,
    },
    text,
};

/// Long enough to ride out the restart of every apiserver behind a slow balancer, short enough that a crashed coordinator
/// blocks nobody for long.
pub(super) const DURATION: Duration = Duration::from_secs(60);

/// What two servers' clocks may differ by, and the fractions of a second that they do not show.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

pub(super) const TASK: &str = "usher.dev/task";
pub(super) const OPERATION: &str = "usher.dev/operation";

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockHolder {
    /// The operation's id.
    pub operation: String,
    /// The person, as user@host.
    pub requester: String,
    pub reason: String,
    /// The ticket, if any.
    pub task_id: Option<String>,
    /// When it was taken, by the holder's clock.
    pub acquired: Option<Timestamp>,
    /// When it was renewed last, by the holder's clock.
    pub renewed: Option<Timestamp>,
    /// How long ago the API server stored that renewal, by its own clock; None if it does not say.
    #[serde(rename = "silentSeconds", with = "usher_core::seconds::option")]
    pub silent: Option<Duration>,
    /// Whether the holder is dead or cut off: it did not renew the lock for its duration, so that the next may take it.
    pub dead: bool,
}

impl LockHolder {
    /// The holder that a lease names, if any. `clock` is that of the server that answered.
    pub(super) fn of(lease: &Lease, clock: Option<ServerClock>) -> Option<Self> {
        let spec = lease.spec.as_ref()?;
        let identity = spec.holder_identity.as_deref().filter(|identity| !identity.is_empty())?;
        let none = BTreeMap::new();
        let annotations = lease.metadata.annotations.as_ref().unwrap_or(&none);
        let (requester, operation) = identity.rsplit_once('/').unwrap_or((identity, ""));
        let renewed = spec.renew_time.as_ref().map(|time| time.0);
        let silent = clock.and_then(|clock| Some(age(renewal_stored(lease)?, clock.now())));
        let is_over = |silent: Duration| silent > DURATION + CLOCKS_DIFFER;
        // A server that stored renewals without noting their time would call a living holder dead: it must look dead by its own
        // clock as well.
        let looks_alive = |clock: ServerClock| renewed.is_some_and(|renewed| !is_over(age(renewed, clock.now())));
        let dead = silent.is_some_and(is_over) && !clock.is_some_and(looks_alive);
        Some(Self {
            operation: operation.to_owned(),
            requester: requester.to_owned(),
            reason: annotations.get(REASON).cloned().unwrap_or_default(),
            task_id: annotations.get(TASK).cloned(),
            acquired: spec.acquire_time.as_ref().map(|time| time.0),
            renewed,
            silent,
            dead,
        })
    }

    /// Whether the holder renewed it a moment ago, so that there is nothing to wait for. Where no server says when, clocks that agree
    /// show it: refusing on their word is the safe side.
    pub(super) fn seems_fresh(&self, clock: Option<ServerClock>) -> bool {
        let by_its_clock = || {
            let now = clock.map_or_else(clock::now, |clock| clock.now());
            self.renewed.map(|renewed| now.duration_since(renewed).unsigned_abs())
        };
        self.silent.or_else(by_its_clock).is_some_and(|silent| silent < DURATION / 2)
    }

    /// How long until the lock can be taken if it is not renewed.
    pub fn free_in(&self) -> Duration {
        match self.silent {
            Some(silent) if silent <= DURATION + CLOCKS_DIFFER => DURATION + CLOCKS_DIFFER - silent,
            // No server says, or its clock and the holder's contradict each other: it is watched for the whole time.
            _ => DURATION,
        }
    }
}

impl std::fmt::Display for LockHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (operation {}, {:?}", self.requester, self.operation, self.reason)?;
        if let Some(silent) = self.silent {
            write!(f, ", renewed {} ago", text::took(silent))?;
        }
        f.write_str(if self.dead { ") (dead)" } else { ")" })
    }
}
