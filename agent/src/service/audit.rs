//! The audit trail of changing calls: two records each, in the state directory and in the journal.
//!
//! `journalctl -u usher-agent USHER_AUDIT=refused` finds them in the journal; `USHER_OPERATION`, `USHER_UNIT`,
//! `USHER_FINGERPRINT` and `USHER_CALLER` work too. The guard of the door writes those of calls that do not come this far.

use tracing::{info, warn};
use usher_common::clock;

use crate::{
    audit::{Audit, Phase, Record},
    door::{Peer, Tags},
    operations::{
        LeaderMove, Request,
        record::{Change, Order},
    },
    refusal::Refusal,
};

/// The services whose calls these are.
const CONTROL: &str = "usher.agent.v1.NodeControl";
const LOCAL: &str = "usher.agent.v1.NodeLocal";

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
    /// Records that a change was asked for, before anybody looks at it.
    pub(super) async fn change(audit: Audit, request: &Request, peer: &Peer) -> Self {
        let Request { id, change, order, .. } = request;
        let overridden = match change {
            Change::RebootNode { override_blockers, .. } => {
                override_blockers.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            }
            _ => String::new(),
        };
        let unit = change.unit().unwrap_or_default().to_owned();
        let record = Record { operation_id: id.clone(), unit, ..of_order(change.call(), order, peer) };
        let received = Self { audit, record, description: change.description(), overridden, dry_run: order.dry_run };
        received.kept().await
    }

    /// Records that the end of an operation was asked for.
    pub(super) async fn cancel(audit: Audit, operation_id: &str, order: &Order, peer: &Peer) -> Self {
        let record = Record { operation_id: operation_id.to_owned(), ..of_order("CancelOperation", order, peer) };
        let description = format!("cancel operation {operation_id:?}");
        Self { audit, record, description, overridden: String::new(), dry_run: order.dry_run }.kept().await
    }

    /// Records that etcd's leadership was to move.
    pub(super) async fn move_etcd_leader(
        audit: Audit,
        wanted: LeaderMove,
        (id, order): (&str, &Order),
        peer: &Peer,
    ) -> Self {
        let record = Record { operation_id: id.to_owned(), ..of_order("MoveEtcdLeader", order, peer) };
        let (description, overridden, dry_run) = (wanted.description(), String::new(), order.dry_run);
        Self { audit, record, description, overridden, dry_run }.kept().await
    }

    /// Records that an epoch was told.
    pub(super) async fn fence(audit: Audit, epoch: u64, requester: &str, peer: &Peer) -> Self {
        let record = Record { epoch, requester: requester.to_owned(), ..of_call(CONTROL, "Fence", peer) };
        let description = format!("refuse epochs below {epoch}");
        Self { audit, record, description, overridden: String::new(), dry_run: false }.kept().await
    }

    /// Records what the node's own root asked for: the call and what it would do, the unit if it is about one, and why and by whom.
    pub(super) async fn local(
        audit: Audit,
        (call, description): (&str, String),
        unit: &str,
        (reason, requester): (&str, &str),
        peer: &Peer,
    ) -> Self {
        let (unit, reason, requester) = (unit.to_owned(), reason.to_owned(), requester.to_owned());
        let record = Record { unit, reason, requester, ..of_call(LOCAL, call, peer) };
        Self { audit, record, description, overridden: String::new(), dry_run: false }.kept().await
    }

    async fn kept(self) -> Self {
        let message = format!("received from {}: {}", self.record.caller.join(", "), self.description);
        log(&self.record, &self.overridden, "received", None, &message);
        self.audit.keep(self.record.clone()).await;
        self
    }

    /// Records how the call was answered.
    pub(super) async fn answered<T>(self, answer: &Result<T, Refusal>) {
        let Self { audit, record, description, overridden, dry_run } = self;
        let caller = record.caller.join(", ");
        let (outcome, word, refusal, message) = match answer {
            Ok(_) if dry_run => {
                let message = format!("accepted from {caller} as a dry run: {description}");
                ("dry run".to_owned(), "dry run", None, message)
            }
            Ok(_) => ("accepted".to_owned(), "accepted", None, format!("accepted from {caller}: {description}")),
            Err(refusal) => {
                let outcome = format!("{}: {refusal}", refusal.reason);
                let message = format!("refused to {description} for {caller}: {outcome}");
                (outcome, "refused", Some(refusal.reason), message)
            }
        };
        let record = Record { at: clock::now(), phase: Phase::Answered, outcome, ..record };
        log(&record, &overridden, word, refusal, &message);
        audit.keep(record).await;
    }
}

/// Writes a record to the journal; a refusal as a warning, with its reason.
fn log(record: &Record, overridden: &str, audit: &str, refusal: Option<&str>, message: &str) {
    let (caller, call) = (record.callers(), record.method.rsplit('/').next().unwrap_or_default());
    // A level is part of the code of a log line, so there is a line for each of the two.
    macro_rules! log {
        ($level:ident) => {
            $level!(
                audit,
                refusal,
                operation = record.operation_id,
                call,
                unit = record.unit,
                caller,
                fingerprint = record.fingerprint,
                serial = record.serial,
                issuer = record.issuer,
                address = record.address,
                requester = record.requester,
                reason = record.reason,
                task = record.task_id,
                epoch = record.epoch,
                request_id = record.request_id,
                trace = record.trace,
                overridden,
                "{message}"
            )
        };
    }
    if refusal.is_some() { log!(warn) } else { log!(info) }
}

fn of_order(call: &str, order: &Order, peer: &Peer) -> Record {
    let Order { epoch, reason, task_id, requester, .. } = order.clone();
    Record { epoch, reason, task_id, requester, ..of_call(CONTROL, call, peer) }
}

fn of_call(service: &str, call: &str, peer: &Peer) -> Record {
    let Tags { request_id, trace } = peer.tags.clone();
    let record = Record::of(Phase::Received, &format!("{service}/{call}"), &peer.caller, peer.origin(), clock::now());
    Record { request_id, trace, ..record }
}
