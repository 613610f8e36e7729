//! The audit trail: a log record for each changing call, including refused ones.
//!
//! `journalctl -u usher-agent USHER_AUDIT=refused` finds them in the journal; `USHER_OPERATION`, `USHER_UNIT` and
//! `USHER_CALLER` work too.

use tracing::{info, warn};

use crate::{
    operations::{
        Request,
        record::{Change, Operation},
    },
    refusal::Refusal,
};

/// The audited parts of a request, copied before it is consumed.
#[derive(Debug)]
pub(crate) struct Record {
    request: Request,
    address: String,
}

impl Record {
    pub(crate) fn of(request: &Request, address: impl ToString) -> Self {
        Self { request: request.clone(), address: address.to_string() }
    }

    /// Logs how the call was answered.
    pub(crate) fn answered(&self, answer: &Result<Operation, Refusal>) {
        let Request { id, change, order, caller, .. } = &self.request;
        let (call, description, unit) = (change.call(), change.description(), change.unit().unwrap_or_default());
        let overridden = match change {
            Change::RebootNode { override_blockers, .. } => {
                override_blockers.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            }
            _ => String::new(),
        };
        match answer {
            Ok(_) => info!(
                audit = if order.dry_run { "dry run" } else { "accepted" },
                operation = id, call, unit, %caller, address = self.address, requester = order.requester,
                reason = order.reason, task = order.task_id, epoch = order.epoch, overridden,
                "accepted from {caller}{}: {description}", if order.dry_run { " as a dry run" } else { "" }
            ),
            Err(refusal) => warn!(
                audit = "refused", refusal = refusal.reason,
                operation = id, call, unit, %caller, address = self.address, requester = order.requester,
                reason = order.reason, task = order.task_id, epoch = order.epoch, overridden,
                "refused to {description} for {caller}: {}: {refusal}", refusal.reason
            ),
        }
    }
}
