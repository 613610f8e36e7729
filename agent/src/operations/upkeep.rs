//! What keeps the state directory in order while nobody asks: forgetting old operations, and trying again what the disk refused.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};
use usher_common::{chain, clock};

use super::{Operations, moment::Moment, run::Begin};

/// How often to forget old operations, besides after each new one.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Between two attempts to store what could not be stored.
const FILE_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Between two attempts to use a state directory that could not be read or written.
const RECOVER_AFTER: Duration = Duration::from_secs(30);

impl Operations {
    pub(super) async fn keep_order_for_ever(self) {
        let stop = self.inner.stop.clone();
        stop.run_until_cancelled_owned(async move {
            let mut prune_at = Instant::now();
            loop {
                if Instant::now() >= prune_at {
                    self.prune().await;
                    prune_at = Instant::now() + PRUNE_EVERY;
                }
                let store = &self.inner.store;
                let pause = match (store.unfiled(), store.unusable()) {
                    (Some(_), _) => FILE_AGAIN_AFTER,
                    (None, Some(_)) => RECOVER_AFTER,
                    (None, None) => PRUNE_EVERY,
                };
                tokio::select! {
                    biased;
                    () = sleep_until(prune_at.min(Instant::now() + pause)) => self.mend_store().await,
                    // Something may have gone wrong: how long to wait is another question now.
                    () = self.inner.ended.notified() => {}
                }
            }
        })
        .await;
    }

    /// Forgets what is too old or too much.
    pub(super) async fn prune(&self) {
        let retention = self.inner.machine.config().operations;
        if let Err(error) = self.inner.store.prune(clock::now(), retention).await {
            warn!("old operations cannot be removed: {}", chain(&error));
        }
    }

    async fn mend_store(&self) {
        let store = &self.inner.store;
        // The warnings of the node's status go on to say what is wrong.
        let filed = store.file_rest(&Moment::now(&self.inner.machine)).await;
        if store.unusable().is_none() {
            return;
        }
        match store.recover().await {
            Ok(running) => {
                info!("the state directory can be used again");
                // It was not known to run when the agent started, and nothing else was accepted since.
                if let Some(running) = running.filter(|_| self.running().is_none()) {
                    self.begin(running, Begin::Resumed);
                }
            }
            Err(error) => {
                tracing::debug!(filed = filed.is_ok(), "the state directory cannot be used: {}", chain(&error));
            }
        }
    }
}
