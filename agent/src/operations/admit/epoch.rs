//! The epoch: which one a call may carry, and storing it.

use usher_common::chain;
use usher_proto::reason;

use super::{
    super::{Operations, store::HIGHEST_EPOCH},
    request::check_requester,
};
use crate::refusal::Refusal;

/// How far above the highest epoch seen another may be. Each taking of the lock raises it by one; an agent sees those in which it
/// is called, and all of them through `Fence`.
const JUMP: u64 = 1000;

impl Operations {
    /// Stores an epoch, if it is plausible and not over, and returns the highest that is on disk.
    pub(crate) async fn fence(&self, epoch: u64, requester: &str) -> Result<u64, Refusal> {
        check_requester("requester", requester)?;
        self.check_epoch(epoch)?;
        self.record_epoch(epoch).await?;
        Ok(self.epoch())
    }

    /// Refuses an epoch that is over, and one that no lock can have reached: if the agent believed it, nothing would fence any
    /// more.
    pub(in super::super) fn check_epoch(&self, epoch: u64) -> Result<(), Refusal> {
        let highest = self.epoch();
        if epoch > HIGHEST_EPOCH {
            let message =
                format!("must be at most {HIGHEST_EPOCH}, as the leaseTransitions of the lock are; it is {epoch}");
            return Err(Refusal::bad_request("epoch", &message));
        }
        if epoch < highest {
            let message = format!(
                "epoch {epoch} is over: this node has seen {highest}. Another coordinator has taken the lock; take it again"
            );
            return Err(Refusal::new(reason::STALE_EPOCH, message).with("epoch", highest.to_string()));
        }
        // One that has seen none cannot tell.
        if highest > 0 && epoch - highest > JUMP {
            let message = format!(
                "epoch {epoch} is implausible: the highest that this node has seen is {highest}, and more than {JUMP} above it \
                 somebody has made it up. If it is right, stop usher-agent on the node, write it as \"highest\" into epoch.json of \
                 the state directory, and start usher-agent again"
            );
            return Err(Refusal::new(reason::EPOCH_JUMP, message).with("epoch", highest.to_string()));
        }
        Ok(())
    }

    /// Records a higher epoch before anything happens under it.
    pub(in super::super) async fn record_epoch(&self, epoch: u64) -> Result<(), Refusal> {
        if epoch <= self.epoch() {
            return Ok(());
        }
        self.inner.store.raise_epoch(epoch).await.map_err(|error| {
            let message = format!("the epoch could not be stored, so nothing was begun: {}", chain(&error));
            Refusal::new(reason::STATE_UNAVAILABLE, message)
        })
    }
}
