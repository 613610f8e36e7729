//! The audit trail of changing calls: two records each, in the state directory and in the journal.
//!
//! `journalctl -u usher-agent USHER_AUDIT=refused` finds them in the journal; `USHER_OPERATION`, `USHER_UNIT`,
//! `USHER_FINGERPRINT` and `USHER_CALLER` work too. The guard of the door writes those of calls that do not come this far.

use tracing::{info, warn};
use usher_common::clock;

use crate::{
    audit::{Audit, Phase, Record},
    door::Peer,
    operations::{
        Request,
        record::{Change, Operation},
    },
    refusal::Refusal,
};

/// The service whose calls these are.
const SERVICE: &str = "usher.agent.v1.NodeControl";

/// A changing call that has come in. The task that admits the call carries it, so that the record of the answer does not hang on
/// the caller's staying.
#[derive(Debug)]
pub(super) struct Received {
    audit: Audit,
    record: Record,
    description: String,
    overridden: String,
    dry_run: bool,
}

impl Received {
    /// Records that the call came in, before anybody looks at what it wants.
    pub(super) async fn record(audit: Audit, request: &Request, peer: &Peer) -> Self {
        let Request { id, change, order, caller } = request;
        let method = format!("{SERVICE}/{}", change.call());
        let record = Record {
            operation_id: id.clone(),
            unit: change.unit().unwrap_or_default().to_owned(),
            reason: order.reason.clone(),
            requester: order.requester.clone(),
            task_id: order.task_id.clone(),
            epoch: order.epoch,
            ..Record::of(Phase::Received, &method, caller, peer.address, clock::now())
        };
        let overridden = match change {
            Change::RebootNode { override_blockers, .. } => {
                override_blockers.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            }
            _ => String::new(),
        };
        let description = change.description();
        info!(
            audit = "received",
            operation = id,
            call = change.call(),
            unit = record.unit,
            caller = record.callers(),
            fingerprint = record.fingerprint,
            serial = record.serial,
            issuer = record.issuer,
            address = record.address,
            requester = order.requester,
            reason = order.reason,
            task = order.task_id,
            epoch = order.epoch,
            overridden,
            "received from {caller}: {description}"
        );
        audit.keep(record.clone()).await;
        Self { audit, record, description, overridden, dry_run: order.dry_run }
    }

    /// Records how the call was answered.
    pub(super) async fn answered(self, answer: &Result<Operation, Refusal>) {
        let Self { audit, record, description, overridden, dry_run } = self;
        let outcome = match answer {
            Ok(_) if dry_run => "dry run".to_owned(),
            Ok(_) => "accepted".to_owned(),
            Err(refusal) => format!("{}: {refusal}", refusal.reason),
        };
        let record = Record { at: clock::now(), phase: Phase::Answered, outcome, ..record };
        let Record {
            operation_id, unit, fingerprint, serial, issuer, address, requester, reason, task_id, epoch, ..
        } = &record;
        let (caller, call) = (record.callers(), record.method.rsplit('/').next().unwrap_or_default());
        match answer {
            Ok(_) => info!(
                audit = record.outcome,
                operation = operation_id,
                call,
                unit,
                caller,
                fingerprint,
                serial,
                issuer,
                address,
                requester,
                reason,
                task = task_id,
                epoch,
                overridden,
                "accepted from {}{}: {description}",
                record.caller.join(", "),
                if dry_run { " as a dry run" } else { "" }
            ),
            Err(refusal) => warn!(
                audit = "refused",
                refusal = refusal.reason,
                operation = operation_id,
                call,
                unit,
                caller,
                fingerprint,
                serial,
                issuer,
                address,
                requester,
                reason,
                task = task_id,
                epoch,
                overridden,
                "refused to {description} for {}: {}: {refusal}",
                record.caller.join(", "),
                refusal.reason
            ),
        }
        audit.keep(record).await;
    }
}
