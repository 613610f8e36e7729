//! Time as the server sees it: Tokio's, so that it can be paused, shown as wall time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall time at the start plus Tokio's time since.
#[derive(Debug, Clone)]
pub struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { wall: usher_common::clock::now(), start: Instant::now() }
    }

    pub(super) fn ahead(by: SignedDuration) -> Self {
        Self { wall: usher_common::clock::now() + by, ..Self::start() }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.wall + self.start.elapsed()
    }

    /// The moment on Tokio's clock that belongs to a wall time; past ones are now.
    pub(super) fn instant(&self, at: Timestamp) -> Instant {
        let wait = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        Instant::now() + wait
    }
}

/// `metav1.Time`: whole seconds.
pub(super) fn seconds(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// `metav1.MicroTime`, as Leases have it.
pub(super) fn micros(at: Timestamp) -> String {
    format!("{at:.6}")
}
