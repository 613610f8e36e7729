//! What the agent has done since it started, counted for its metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Upper bounds of the buckets for how long operations take, in seconds.
pub(crate) const BUCKETS: [u32; 8] = [1, 5, 15, 30, 60, 300, 900, 1800];

/// The counters. All labels are of few values: no ids, no names of callers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counted: Mutex<Counted>,
    /// Connections of callers that are open now.
    connections: AtomicI64,
}

/// An open connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Counters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was counted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counted {
    /// Calls that were answered, by method and code of gRPC (a number).
    pub(crate) calls: BTreeMap<(&'static str, String), u64>,
    /// Peers and calls that were refused at the door, by reason.
    pub(crate) refusals: BTreeMap<&'static str, u64>,
    /// Operations that have ended, by call, unit and whether they succeeded.
    pub(crate) operations: BTreeMap<(&'static str, String, bool), u64>,
    /// How many of them took at most as long as each of [`BUCKETS`].
    pub(crate) within: [u64; BUCKETS.len()],
    /// How long all of them took together.
    pub(crate) took: Duration,
    /// Starts of units that no operation caused, by unit and whether systemd did it by itself.
    pub(crate) unannounced: BTreeMap<(String, bool), u64>,
    /// Reboots that no operation caused: one at most, of the boot in which the agent started.
    pub(crate) unannounced_reboots: u64,
}

impl Counters {
    /// A call was answered with this code.
    pub(crate) fn answered(&self, method: &'static str, code: &str) {
        *self.lock().calls.entry((method, code.to_owned())).or_default() += 1;
    }

    /// A peer or a call was refused at the door.
    pub(crate) fn refused(&self, reason: &'static str) {
        *self.lock().refusals.entry(reason).or_default() += 1;
    }

    /// An operation has ended.
    pub(crate) fn ended(&self, call: &'static str, unit: &str, succeeded: bool, took: Duration) {
        let mut counted = self.lock();
        *counted.operations.entry((call, unit.to_owned(), succeeded)).or_default() += 1;
        counted.took = counted.took.saturating_add(took);
        for (within, bound) in counted.within.iter_mut().zip(BUCKETS) {
            *within += u64::from(took <= Duration::from_secs(bound.into()));
        }
    }

    /// A unit, or without one the node, was started by something else than an operation.
    pub(crate) fn unannounced(&self, unit: Option<&str>, automatic: bool) {
        let mut counted = self.lock();
        match unit {
            Some(unit) => *counted.unannounced.entry((unit.to_owned(), automatic)).or_default() += 1,
            None => counted.unannounced_reboots += 1,
        }
    }

    /// A caller's connection begins, and ends when the answer is dropped.
    pub(crate) fn connected(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// How many connections of callers are open now.
    pub(crate) fn connections(&self) -> i64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// What was counted until now.
    pub(crate) fn counted(&self) -> Counted {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_until_it_has_ended() {
        let counters = Arc::new(Counters::default());
        let (one, other) = (counters.connected(), counters.connected());
        assert_eq!(counters.connections(), 2);
        drop(one);
        assert_eq!(counters.connections(), 1);
        drop(other);
        assert_eq!(counters.connections(), 0);
    }

    #[test]
    fn operations_are_counted_with_how_long_they_took() {
        let counters = Counters::default();
        counters.ended("RestartUnit", "a.service", true, Duration::from_secs(4));
        counters.ended("RestartUnit", "a.service", false, Duration::from_secs(90));
        counters.ended("RebootNode", "", true, Duration::from_secs(10_000));
        let Counted { operations, within, took, .. } = counters.counted();
        assert_eq!(operations.len(), 3);
        assert_eq!(within, [0, 1, 1, 1, 1, 2, 2, 2]);
        assert_eq!(took, Duration::from_secs(10_094));
    }
}
