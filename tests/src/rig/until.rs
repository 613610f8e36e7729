//! Waiting for what no event tells.

#![expect(clippy::disallowed_types, reason = "by the host's clock: tokio's may stand still")]

use std::time::{Duration, Instant};

/// Longer than any of it takes on a busy host.
const LIMIT: Duration = Duration::from_secs(60);

/// Lets other tasks run until this holds.
///
/// # Panics
///
/// If it does not come to hold within a minute.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < LIMIT, "waited in vain: {what}");
        tokio::task::yield_now().await;
    }
}
