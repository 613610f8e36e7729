//! Which errors of the API pass by themselves, and how long they are waited for.

use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use kube::runtime::watcher;
use tokio::time::sleep;

/// Between two tries while the API is not there: an apiserver restarts within seconds.
const PAUSE: Duration = Duration::from_secs(1);

const SHORTEST_WATCH: Duration = Duration::from_secs(20);

/// The error in the server's words, or in those of its causes if no server answered.
pub(super) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason).trim_end().to_owned(),
        kube::Error::Service(source) => crate::words::chain(source.as_ref()),
        other => crate::words::chain(other),
    }
}

/// Whether the same request may be answered later: nobody answers, or a server is starting, stopping or busy.
pub(super) fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => match status.code {
            408 | 409 | 410 | 429 | 500 | 502 | 503 | 504 => true,
            // Admission of a server that has just started and has not read its namespaces yet.
            403 => status.message.contains("not yet ready to handle request"),
            _ => false,
        },
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// Asks until there is an answer, or an error that will not pass. Whoever calls sets the deadline.
pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    loop {
        match ask().await {
            Err(error) if is_passing(&error) => {
                tracing::debug!(error = words(&error), "asking the API again");
                sleep(jittered(PAUSE)).await;
            }
            answer => return answer,
        }
    }
}

/// The pause and up to a quarter more, so that drains that lost the same server do not come back to it at the same moment.
pub(super) fn jittered(pause: Duration) -> Duration {
    // The standard library's only source of randomness, and good enough for this.
    let random = RandomState::new().hash_one(0) as u32;
    pause + pause.mul_f64(0.25 * f64::from(random) / f64::from(u32::MAX))
}

/// What went wrong with a watch, as an error of the API; None if nothing did that needs a word.
pub(super) fn of_watch(error: watcher::Error) -> Option<kube::Error> {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => Some(error),
        WatchError(status) => Some(kube::Error::Api(status)),
        NoResourceVersion => None,
    }
}

/// How long a watch lasts, in seconds: the server ends it then, and the client gives it up 5 s later. An apiserver that
/// vanished without closing its connections is noticed within half a minute, and the watches of many drains that began
/// together do not all begin again together.
pub(super) fn watch_seconds() -> u32 {
    let seconds = jittered(SHORTEST_WATCH).as_secs();
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// The same pause for a watch; never longer, however often it failed.
pub(super) struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(jittered(PAUSE))
    }
}

impl kube::runtime::utils::Backoff for Steady {
    fn reset(&mut self) {}
}
