//! Which errors of the API pass by themselves, and how long they are waited for.

use std::{future::Future, time::Duration};

use tokio::time::sleep;

/// Between two tries while the API is not there: an apiserver restarts within seconds.
const PAUSE: Duration = Duration::from_secs(1);

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
                sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// The same pause for a watch; never longer, however often it failed.
pub(super) struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(PAUSE)
    }
}

impl kube::runtime::utils::Backoff for Steady {
    fn reset(&mut self) {}
}
