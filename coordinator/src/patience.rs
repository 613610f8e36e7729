//! Which errors of the API pass by themselves, and how they are waited for.

use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::words;

/// Where whoever asks sets a deadline of its own.
pub(crate) const FOREVER: Duration = Duration::MAX;

/// Between two tries while the API is not there, if it names no time itself: an apiserver restarts within seconds.
const PAUSE: Duration = Duration::from_millis(500);

/// Asks until there is an answer, or an error that will not pass, or until `limit` is over: then the last error.
pub(crate) async fn patiently<T, F>(limit: Duration, mut ask: impl FnMut() -> F) -> Result<T, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let deadline = Instant::now().checked_add(limit);
    loop {
        match ask().await {
            Err(error) if is_passing(&error) && deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                tracing::debug!(error = in_words(&error), "asking the API again");
                sleep(jittered(retry_after(&error).unwrap_or(PAUSE))).await;
            }
            answer => return answer,
        }
    }
}

/// Whether the same request may be answered later: nobody answers, or a server is starting, stopping or busy.
pub(crate) fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => match status.code {
            408 | 429 | 500 | 502 | 503 | 504 => true,
            // Admission of a server that has just started and has not read its namespaces yet.
            403 => status.message.contains("not yet ready to handle request"),
            _ => false,
        },
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// Whether the server has forgotten where a list or a watch was to go on: it begins anew then.
pub(crate) fn is_expired(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}

/// The error in the server's words, or in those of its causes if no server answered.
pub(crate) fn in_words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason).trim_end().to_owned(),
        kube::Error::Service(source) => words::chain(source.as_ref()),
        other => words::chain(other),
    }
}

/// The pause and up to a quarter more, so that all who lost the same server do not come back to it at the same moment.
pub(crate) fn jittered(pause: Duration) -> Duration {
    // The standard library's only source of randomness, and good enough for this.
    let random = RandomState::new().hash_one(0) as u32;
    pause + pause.mul_f64(0.25 * f64::from(random) / f64::from(u32::MAX))
}

/// The time that the server named.
fn retry_after(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::{Status, response::StatusDetails};

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

    /// How often is asked, and for how many seconds, before the answer; `answer` is told the number of the question.
    async fn asked(limit: u64, answer: impl Fn(u32) -> Result<(), kube::Error>) -> (u32, u64, bool) {
        let (begun, times) = (Instant::now(), Cell::new(0));
        let answer = patiently(Duration::from_secs(limit), || {
            times.set(times.get() + 1);
            std::future::ready(answer(times.get()))
        });
        let is_answered = answer.await.is_ok();
        (times.get(), begun.elapsed().as_secs(), is_answered)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_back_is_asked_again_until_then() {
        let back_at = |time| move |number| if number < time { Err(refusal(503, "starting", 0)) } else { Ok(()) };
        let (times, _, is_answered) = asked(30, back_at(5)).await;
        assert_eq!((times, is_answered), (5, true));
        let (_, seconds, is_answered) = asked(30, back_at(1000)).await;
        assert_eq!((seconds, is_answered), (30, false));
        assert_eq!(asked(FOREVER.as_secs(), back_at(1000)).await.0, 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_asked_when_it_said() {
        let busy = |number| if number == 1 { Err(refusal(429, "busy", 8)) } else { Ok(()) };
        let (times, seconds, _) = asked(30, busy).await;
        assert!(times == 2 && (8..=10).contains(&seconds), "{times} in {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_is_told_at_once() {
        for (code, message) in [(403, "nodes is forbidden"), (404, "not found"), (409, "conflict"), (410, "expired")] {
            assert_eq!(asked(30, |_| Err(refusal(code, message, 0))).await, (1, 0, false), "{code}");
        }
        let young = "namespaces \"web\" is forbidden: not yet ready to handle request";
        assert!(asked(30, |number| if number == 1 { Err(refusal(403, young, 0)) } else { Ok(()) }).await.2);
    }
}
