//! What watches have in common.

use std::time::Duration;

use kube::runtime::watcher;

use super::retry::{is_expired, jittered};

const SHORTEST_WATCH: Duration = Duration::from_secs(20);

/// The pause between tries while the API is unreachable.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// The error of the API behind that of a watcher; None if the watcher only has to list again.
pub(crate) fn api_error(error: watcher::Error) -> Option<kube::Error> {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let error = match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => error,
        WatchError(status) => kube::Error::Api(status),
        NoResourceVersion => return None,
    };
    (!is_expired(&error)).then_some(error)
}

/// How long a watch lasts, in seconds: the server ends it then, and the client gives up 5 s later. So an apiserver that vanished
/// without closing its connections is noticed within half a minute, and jitter keeps many watches from all
/// restarting together.
pub(crate) fn watch_seconds() -> u32 {
    let seconds = jittered(SHORTEST_WATCH).as_secs();
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// The same pause between a watcher's tries, however often it failed.
pub(crate) struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(jittered(PAUSE))
    }
}

impl kube::runtime::utils::Backoff for Steady {
    fn reset(&mut self) {}
}
