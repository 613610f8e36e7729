//! Waiting for evidence, with a deadline.

use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, sleep};

/// How often to look for evidence: often enough to waste no second of a bed, rarely enough for two cores.
pub const POLL: Duration = Duration::from_millis(100);

/// Asks `evidence` until it is there (`Ok(None)` means not yet).
///
/// # Errors
/// After `limit`, with what was waited for and the last error; an error of `evidence` itself only counts as "not yet".
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut evidence: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begin = Instant::now();
    loop {
        let last = match evidence().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if begin.elapsed() > limit {
            match last {
                Some(error) => return Err(error.context(format!("waited {limit:?} in vain for: {what}"))),
                None => bail!("waited {limit:?} in vain for: {what}"),
            }
        }
        sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::until;

    #[tokio::test(start_paused = true)]
    async fn evidence_is_asked_again_until_it_is_there_and_errors_mean_not_yet() {
        let mut asked = 0;
        let found = until("the third answer", Duration::from_secs(5), async || {
            asked += 1;
            match asked {
                1 => anyhow::bail!("not reachable"),
                2 => Ok(None),
                _ => Ok(Some(asked)),
            }
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_names_what_was_waited_for_and_the_last_error() {
        let error =
            until::<()>("a boot", Duration::from_secs(1), async || anyhow::bail!("no route")).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "waited 1s in vain for: a boot: no route");
    }
}
