//! The one loop of everything that waits for a state of the world.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::problem::Problem;

/// Between two looks. Apiservers, units, balancers and a site's own checks change within seconds.
const EVERY: Duration = Duration::from_millis(500);

/// What a look showed. `W` is why it is not done yet: mostly a sentence.
pub(crate) enum Look<T, W = String> {
    Done(T),
    /// Not yet, and why.
    NotYet(W),
    /// All is well, and must stay so for this time, which it is given beyond the limit.
    Settling(Duration, W),
}

/// Looks until it is done, at least once and for at most `limit`, and says before each pause why not yet. `late` makes the
/// last reason into the problem when time is over.
pub(crate) async fn until<T, W>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T, W>, Problem>,
    mut say: impl FnMut(W),
    late: impl FnOnce(W) -> Problem,
) -> Result<T, Problem> {
    let deadline = Instant::now() + limit;
    loop {
        let (settle, why) = match look().await? {
            Look::Done(value) => return Ok(value),
            Look::NotYet(why) => (Duration::ZERO, why),
            Look::Settling(settle, why) => (settle, why),
        };
        if Instant::now() >= deadline + settle {
            return Err(late(why));
        }
        say(why);
        sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_looks_until_it_is_done_and_tells_the_last_reason_when_it_is_late() {
        let mut looks = 0;
        let done = until(
            Duration::from_secs(10),
            async || {
                looks += 1;
                Ok(if looks < 4 { Look::NotYet(format!("look {looks}")) } else { Look::Done(looks) })
            },
            |_| {},
            Problem::timed_out,
        );
        assert_eq!(done.await, Ok(4));
        let late = until(
            Duration::from_secs(10),
            async || Ok(Look::<()>::NotYet("still out".into())),
            |_| {},
            |why| Problem::timed_out(format!("cp1 is {why}")),
        );
        assert_eq!(late.await.unwrap_err().message, "cp1 is still out");
    }
}
