//! Which errors of the API are transient, and how long to retry them.

use std::{error::Error, future::Future, io, time::Duration};

use backon::{ExponentialBuilder, Retryable as _};
use tokio::time::{Instant, timeout};
use usher_common::chain;

use super::credentials::CredentialsError;

/// No limit: the caller has its own deadline.
pub(crate) const UNLIMITED: Duration = Duration::MAX;

/// The pauses between tries, unless the server names one: an apiserver restarts within seconds, so they stay short. Jitter
/// keeps clients that lost the same server from coming back at the same moment.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_max_delay(Duration::from_secs(1))
    .without_max_times()
    .with_jitter();

/// Repeats a request until it succeeds, fails for good, or `limit` has passed; then its last error is the result. Only for
/// requests that are safe to repeat. A limit of zero means one try.
///
/// A connection that died without notice (a laptop slept, a VIP moved) answers nothing, so a try may take a third of the
/// limit and the next one gets a fresh connection. A try in the last third may take as long as the client lets it: a slow
/// server must not be asked for the same large list again and again.
pub(crate) async fn retry<T, F>(limit: Duration, mut request: impl FnMut() -> F) -> Result<T, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let (begun, third) = (Instant::now(), limit / 3);
    let attempt = || {
        let is_last = begun.elapsed() >= limit - third;
        let cut_off = if is_last { Duration::MAX } else { third };
        let answer = timeout(cut_off, request());
        async move { answer.await.unwrap_or_else(|_| Err(no_answer())) }
    };
    attempt
        .retry(PAUSES)
        .when(is_transient)
        .adjust(|error, pause| match begun.elapsed() < limit {
            true => retry_after(error).map(jittered).or(pause),
            false => None,
        })
        .notify(|error, pause| tracing::debug!(error = error_message(error), ?pause, "will ask the API again"))
        .await
}

/// Whether the same request may succeed later: nobody answers, or a server is starting, stopping or busy.
pub(crate) fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => match status.code {
            408 | 429 | 500 | 502 | 503 | 504 => true,
            // Admission of a server that has just started and has not read its namespaces yet.
            403 => status.message.contains("not yet ready to handle request"),
            _ => false,
        },
        kube::Error::Service(source) => source.downcast_ref().is_none_or(CredentialsError::may_pass),
        kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// Whether the server no longer has the version that a list or a watch was to continue from: it must start over.
pub(crate) fn is_expired(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}

/// The server's message, or the chain of causes if no server answered.
pub(crate) fn error_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason).trim_end().to_owned(),
        kube::Error::Service(source) => chain(source.as_ref()),
        other => chain(other),
    }
}

/// The pause plus up to a quarter of it. The random numbers are the thread's own, so that a test can seed them.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause + pause.mul_f64(0.25 * fastrand::f64())
}

/// The pause that the server asked for.
fn retry_after(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn no_answer() -> kube::Error {
    let source: Box<dyn Error + Send + Sync> = io::Error::new(io::ErrorKind::TimedOut, "no answer in time").into();
    kube::Error::Service(source)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::{Status, response::StatusDetails};
    use tokio::time::sleep;

    use super::*;

    fn refusal(code: u16, message: &str, retry_after_seconds: u32) -> kube::Error {
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds,
        };
        kube::Error::Api(Status::failure(message, "").with_code(code).with_details(details).boxed())
    }

    /// A request's fate: how many tries it took, for how many seconds, and whether it succeeded in the end.
    #[derive(Debug, PartialEq)]
    struct Fate {
        tries: u32,
        seconds: u64,
        succeeded: bool,
    }

    /// `answer` gets the number of the try, from 1, and returns how long the server takes and what it says.
    async fn fate(limit: Duration, answer: impl Fn(u32) -> (Duration, Result<(), kube::Error>)) -> Fate {
        let (begun, tries) = (Instant::now(), Cell::new(0));
        let retried = retry(limit, || {
            tries.set(tries.get() + 1);
            let (delay, answer) = answer(tries.get());
            async move {
                sleep(delay).await;
                answer
            }
        });
        let succeeded = retried.await.is_ok();
        Fate { tries: tries.get(), seconds: begun.elapsed().as_secs(), succeeded }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn at_once(answer: Result<(), kube::Error>) -> (Duration, Result<(), kube::Error>) {
        (Duration::ZERO, answer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_back_is_asked_again_until_then() {
        let back_at =
            |back| move |number| at_once(if number < back { Err(refusal(503, "starting", 0)) } else { Ok(()) });
        let fate_of = async |limit, back| fate(limit, back_at(back)).await;
        assert!(matches!(fate_of(30 * SECOND, 5).await, Fate { tries: 5, succeeded: true, .. }));
        let Fate { seconds, succeeded, .. } = fate_of(30 * SECOND, 1000).await;
        assert!((30..=32).contains(&seconds) && !succeeded, "{seconds} s");
        assert!(matches!(fate_of(UNLIMITED, 1000).await, Fate { tries: 1000, succeeded: true, .. }));
        assert_eq!(fate_of(Duration::ZERO, 2).await, Fate { tries: 1, seconds: 0, succeeded: false });
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_asked_when_it_said() {
        let busy = |number| at_once(if number == 1 { Err(refusal(429, "busy", 8)) } else { Ok(()) });
        let Fate { tries, seconds, .. } = fate(30 * SECOND, busy).await;
        assert!(tries == 2 && (8..=10).contains(&seconds), "{tries} in {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_error_is_returned_at_once() {
        for (code, message) in [(403, "nodes is forbidden"), (404, "not found"), (409, "conflict"), (410, "expired")] {
            let fate = fate(30 * SECOND, |_| at_once(Err(refusal(code, message, 0)))).await;
            assert_eq!(fate, Fate { tries: 1, seconds: 0, succeeded: false }, "{code}");
        }
        let young = "namespaces \"web\" is forbidden: not yet ready to handle request";
        let starting = |number| at_once(if number == 1 { Err(refusal(403, young, 0)) } else { Ok(()) });
        assert!(fate(30 * SECOND, starting).await.succeeded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_connection_leaves_time_for_a_fresh_one() {
        let dead_at_first = |number| (if number == 1 { 3600 * SECOND } else { SECOND }, Ok(()));
        let Fate { tries, seconds, succeeded } = fate(30 * SECOND, dead_at_first).await;
        assert!(tries == 2 && (11..=12).contains(&seconds) && succeeded, "{tries} in {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_awaited_in_the_end() {
        let Fate { tries, seconds, succeeded } = fate(30 * SECOND, |_| (25 * SECOND, Ok(()))).await;
        assert!(tries == 3 && (45..=48).contains(&seconds) && succeeded, "{tries} in {seconds} s");
        assert_eq!(fate(Duration::ZERO, |_| (SECOND, Ok(()))).await, Fate { tries: 1, seconds: 1, succeeded: true });
    }

    #[test]
    fn jitter_is_at_most_a_quarter_and_the_same_for_the_same_seed() {
        let pauses = || {
            fastrand::seed(7);
            [(); 100].map(|()| jittered(4 * SECOND))
        };
        assert!(pauses().iter().all(|pause| (4 * SECOND..=5 * SECOND).contains(pause)));
        assert_eq!(pauses(), pauses());
    }
}
