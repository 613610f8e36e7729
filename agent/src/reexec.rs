//! When the agent executes the binary that an upgrade has put in the place of its own: once that would start, and nobody needs the
//! agent. A package's upgrade neither stops nor restarts the agent, and so never cuts an operation off.
//!
//! The process stays the same, so systemd notices nothing; the listening socket stays open, so callers are at most kept waiting
//! for a moment.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};
use tracing::{info, warn};
use usher_common::clock;

use crate::{
    binary::{Binary, Found, Replaced, Replacement},
    door::live::Live,
    operations::{Operations, Quiet},
};

/// How long after a trial that failed the same binary is tried again: what it lacked may have come, as a newer libc or a renewed
/// certificate.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Waits for the moment to execute another binary.
pub(crate) struct Watch {
    pub(crate) binary: Binary,
    /// The configuration that the other binary must be able to use.
    pub(crate) config: PathBuf,
    pub(crate) replaced: Replaced,
    pub(crate) live: Arc<Live>,
    pub(crate) operations: Operations,
}

/// What the last trial came to.
#[derive(Debug)]
struct Tried {
    found: Found,
    at: Instant,
    would_start: bool,
}

/// What a look at the binary calls for.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The process executes what is there: whatever was known of another binary is over.
    Forget,
    TryOut,
    Wait,
}

fn next(found: &Found, tried: Option<&Tried>, idle: bool, now: Instant) -> Next {
    match tried.filter(|tried| tried.found == *found) {
        _ if *found == Found::Own => Next::Forget,
        None => Next::TryOut,
        Some(tried) if !tried.would_start && now < tried.at + TRY_AGAIN_AFTER => Next::Wait,
        Some(tried) if !tried.would_start => Next::TryOut,
        // Once more right before it is executed: the configuration may be another one by now.
        Some(_) if idle => Next::TryOut,
        Some(_) => Next::Wait,
    }
}

impl Watch {
    /// Waits until another binary is to be executed. It looks whenever the agent looks at its other files.
    ///
    /// As long as the answer lives, no operation begins.
    pub(crate) async fn due(self) -> Quiet {
        let (mut looks, mut tried) = (self.live.looks(), None);
        loop {
            if looks.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let binary = self.binary.clone();
            // Off the runtime: a disk that hangs must not keep the agent from answering.
            let Ok(found) = spawn_blocking(move || binary.found()).await else { continue };
            match next(&found, tried.as_ref(), self.operations.quiet().is_some(), Instant::now()) {
                Next::Wait => continue,
                Next::Forget => {
                    tried = None;
                    self.replaced.set(None);
                    continue;
                }
                Next::TryOut => {}
            }
            let would_start = self.try_out(&found).await;
            tried = Some(Tried { found, at: Instant::now(), would_start });
            if would_start && let Some(quiet) = self.operations.quiet() {
                return quiet;
            }
        }
    }

    /// Tries the other binary out, tells of it, and returns whether it would start.
    async fn try_out(&self, found: &Found) -> bool {
        let (version, problem) = match found {
            Found::Nothing(why) => (String::new(), Some(why.clone())),
            _ => {
                let (version, would_start) = self.binary.try_out(&self.config).await;
                (version, would_start.err())
            }
        };
        let before = self.replaced.now();
        let would_start = problem.is_none();
        let news = before.as_ref().is_none_or(|before| before.version != version || before.problem != problem);
        let noticed_at = before.map_or_else(clock::now, |before| before.noticed_at);
        self.replaced.set(Some(Replacement { noticed_at, version: version.clone(), problem }));
        if news {
            match self.replaced.warning() {
                None => info!(version, "another usher-agent is installed; it is executed as soon as this one is idle"),
                Some(warning) => warn!("{warning}"),
            }
        }
        would_start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::Identity;

    #[tokio::test(start_paused = true)]
    async fn another_binary_is_tried_when_it_comes_and_before_it_is_executed_and_a_broken_one_once_a_minute() {
        let [other, another] = [1, 2].map(|number| Found::Other(Identity::numbered(number)));
        let at = Instant::now();
        let tried = |would_start| Tried { found: other.clone(), at, would_start };
        let (soon, later) = (at + Duration::from_secs(3), at + TRY_AGAIN_AFTER);
        for (found, tried, idle, now, expected) in [
            (&Found::Own, None, true, at, Next::Forget),
            (&Found::Own, Some(tried(false)), false, soon, Next::Forget),
            (&other, None, false, at, Next::TryOut),
            (&other, Some(tried(true)), false, later, Next::Wait),
            (&other, Some(tried(true)), true, soon, Next::TryOut),
            (&other, Some(tried(false)), true, soon, Next::Wait),
            (&other, Some(tried(false)), false, later, Next::TryOut),
            (&another, Some(tried(false)), true, soon, Next::TryOut),
        ] {
            assert_eq!(next(found, tried.as_ref(), idle, now), expected, "{found:?} {tried:?} idle: {idle}");
        }
    }
}
