//! A changing call, and the checks that need only what it says.

use std::{ops::RangeInclusive, time::Duration};

use jiff::SignedDuration;

use super::super::record::{Change, Order, is_operation_id};
use crate::{caller::Caller, refusal::Refusal};

/// Bounds of what a caller writes into the node's history, in bytes.
const REASON_LIMIT: usize = 1024;
const TASK_LIMIT: usize = 128;
const REQUESTER_LIMIT: usize = 256;
const OVERRIDES: usize = 64;
const OVERRIDE_LIMIT: usize = 256;

/// How long after a stop the agent may be told to start the unit again.
const START_AGAIN_AFTER: RangeInclusive<SignedDuration> = SignedDuration::from_secs(1)..=SignedDuration::from_hours(24);

/// A changing call.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The id of the operation.
    pub(crate) id: String,
    pub(crate) change: Change,
    pub(crate) order: Order,
    pub(crate) caller: Caller,
    /// How long the caller waits for the answer, as far as it says so.
    pub(crate) patience: Option<Duration>,
}

impl Request {
    pub(in super::super) fn check(&self) -> Result<(), Refusal> {
        if !is_operation_id(&self.id) {
            return Err(Refusal::bad_request("order.operation_id", "must be 1 to 64 characters of [A-Za-z0-9._-]"));
        }
        check_order(&self.order)?;
        if self.change.unit() == Some("") {
            return Err(Refusal::bad_request("unit", "must name a unit of the agent's configuration"));
        }
        match &self.change {
            Change::RestartUnit { expected_invocation_id: id, .. }
            | Change::StopUnit { expected_invocation_id: id, .. }
                if !is_invocation_id(id) =>
            {
                let message = "must be the InvocationID that the caller saw, 32 hexadecimal digits; GetNode tells it";
                Err(Refusal::bad_request("expected_invocation_id", message))
            }
            Change::StopUnit { start_again_after: Some(after), .. } if !START_AGAIN_AFTER.contains(after) => {
                Err(Refusal::bad_request("start_again_after", "must be from 1 second to 24 hours"))
            }
            Change::RebootNode { expected_boot_id, .. } if expected_boot_id.trim().is_empty() => {
                let message = "must be the boot id that the caller saw; GetNode tells it";
                Err(Refusal::bad_request("expected_boot_id", message))
            }
            Change::RebootNode { override_blockers, .. } => {
                if override_blockers.len() > OVERRIDES {
                    return Err(Refusal::bad_request("override_blockers", "must not be more than 64"));
                }
                let mut names = override_blockers.iter();
                names.try_for_each(|name| check_text("override_blockers", name, OVERRIDE_LIMIT))
            }
            _ => Ok(()),
        }
    }
}

/// The checks of who asks and why.
pub(in super::super) fn check_order(order: &Order) -> Result<(), Refusal> {
    check_reason("order.reason", &order.reason)?;
    check_text("order.task_id", &order.task_id, TASK_LIMIT)?;
    check_requester("order.requester", &order.requester)
}

/// Checks the reason that a caller gives.
pub(in super::super) fn check_reason(field: &'static str, reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() {
        return Err(Refusal::bad_request(field, "must say why; the agent keeps it with the request"));
    }
    check_text(field, reason, REASON_LIMIT)
}

pub(in super::super) fn check_requester(field: &'static str, requester: &str) -> Result<(), Refusal> {
    check_text(field, requester, REQUESTER_LIMIT)
}

/// What is stored, logged and shown on terminals is one line, and no longer than it needs to be.
pub(in super::super) fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), Refusal> {
    if text.len() > limit {
        let message = format!("must be at most {limit} bytes long; it has {}", text.len());
        return Err(Refusal::bad_request(field, &message));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::bad_request(field, "must be one line of printable text, without control characters"));
    }
    Ok(())
}

fn is_invocation_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
