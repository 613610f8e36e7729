//! Ending an operation that only waits.

use tokio::sync::watch;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// It is doing something that must not be left half done.
    Working,
    Waiting,
    /// By whom and why.
    Cancelled(String),
}

/// The switch between an operation and those who may cancel it. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Cancel(watch::Sender<Stage>);

impl Default for Cancel {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Working))
    }
}

impl Cancel {
    /// Cancels the operation if it only waits, and returns whether it did.
    pub(super) fn request(&self, why: String) -> bool {
        self.0.send_if_modified(|stage| {
            let waits = *stage == Stage::Waiting;
            if waits {
                *stage = Stage::Cancelled(why);
            }
            waits
        })
    }

    /// Whether the operation only waits.
    pub(super) fn waits(&self) -> bool {
        *self.0.borrow() == Stage::Waiting
    }

    /// Waits, and can be cancelled meanwhile: then the error says by whom and why.
    pub(super) async fn waiting<T>(&self, wait: impl Future<Output = T>) -> Result<T, String> {
        let mut stages = self.0.subscribe();
        self.0.send_replace(Stage::Waiting);
        let cancelled = async {
            loop {
                if let Stage::Cancelled(why) = &*stages.borrow_and_update() {
                    return why.clone();
                }
                // Its sender is ours, and lives.
                let _ = stages.changed().await;
            }
        };
        tokio::select! {
            biased;
            why = cancelled => Err(why),
            waited = wait => {
                self.0.send_replace(Stage::Working);
                Ok(waited)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_waits_is_cancelled() {
        let cancel = Cancel::default();
        assert!(!cancel.request("too early".into()));
        assert_eq!(cancel.waiting(async { 7 }).await, Ok(7));
        assert!(!cancel.request("too late".into()));

        let other = cancel.clone();
        let (waited, asked) = tokio::join!(timeout(Duration::from_secs(60), cancel.waiting(pending::<()>())), async {
            sleep(Duration::from_secs(1)).await;
            (other.request("enough".into()), other.request("again".into()))
        });
        assert_eq!(waited.unwrap(), Err("enough".to_owned()));
        assert_eq!(asked, (true, false));
    }
}
