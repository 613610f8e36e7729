//! `CancelOperation`: ending an operation that only waits.

use std::sync::PoisonError;

use usher_proto::reason;

use super::{
    Operations, VERDICT_WITHIN,
    admit::check_order,
    record::{Change, Operation, Order},
};
use crate::{caller::Caller, refusal::Refusal};

impl Operations {
    /// Ends the operation with this id if it only waits, and returns it as it is then. One that has ended is returned as it is.
    /// `permit` says whether the caller may end this change.
    pub(crate) async fn cancel(
        &self,
        id: &str,
        order: &Order,
        caller: &Caller,
        permit: impl Fn(&Change) -> Result<(), Refusal> + Send,
    ) -> Result<Operation, Refusal> {
        check_order(order)?;
        self.check_node(&order.node)?;
        self.check_epoch(order.epoch)?;
        let mut operation = self.follow(id).await?;
        let now = operation.borrow().clone();
        permit(&now.change)?;
        if !now.is_running() || (order.dry_run && self.waits(id)) {
            return Ok(now);
        }
        let by = if order.requester.is_empty() { caller.to_string() } else { order.requester.clone() };
        let why = format!(
            "cancelled by {by} while it waited: {}. What it had asked for is not taken back, and may still happen",
            order.reason
        );
        if order.dry_run || !self.ask_to_end(id, why) {
            let step = now.steps.last().map(|step| step.name.clone()).unwrap_or_default();
            let message = format!(
                "operation {id} does more than wait (its last step: {step}), and ending it now would leave it half done; follow it"
            );
            return Err(Refusal::new(reason::NOT_WAITING, message).with("step", step));
        }
        // It ends at once, but for the disk.
        let _ = tokio::time::timeout(VERDICT_WITHIN, operation.wait_for(|operation| !operation.is_running())).await;
        Ok(operation.borrow().clone())
    }

    fn ask_to_end(&self, id: &str, why: String) -> bool {
        let is_latest = self.running().is_some_and(|running| running.id == id);
        is_latest && self.inner.cancel.lock().unwrap_or_else(PoisonError::into_inner).request(why)
    }

    fn waits(&self, id: &str) -> bool {
        let is_latest = self.running().is_some_and(|running| running.id == id);
        is_latest && self.inner.cancel.lock().unwrap_or_else(PoisonError::into_inner).waits()
    }
}
