//! From the agent's own types to the contract's messages.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use usher_proto::v1;

use crate::{
    audit::{Phase, Record},
    binary::Replacement,
    machine::{
        Hold,
        login::{Inhibitor, ScheduledShutdown, UserSession},
        packages::Package,
        systemd::Unit,
    },
    operations::{
        Blocker, BlockerKind, OwnedHold, Unannounced, Wanted,
        record::{Change, Failure, FailureKind, Operation, Order, State},
    },
};

/// The operation's id, and the order without it.
pub(super) fn order(order: v1::Order) -> (String, Order) {
    let v1::Order { operation_id, epoch, reason, task_id, requester, dry_run, node } = order;
    (operation_id, Order { epoch, reason, task_id, requester, dry_run, node })
}

pub(super) fn operation(operation: Operation) -> v1::Operation {
    let (state, failure) = match operation.state {
        State::Running => (v1::OperationState::Running, None),
        State::Succeeded => (v1::OperationState::Succeeded, None),
        State::Failed(failure) => (v1::OperationState::Failed, Some(failure)),
    };
    let kind = match operation.change {
        Change::RestartUnit { .. } => v1::OperationKind::RestartUnit,
        Change::StopUnit { .. } => v1::OperationKind::StopUnit,
        Change::StartUnit { .. } => v1::OperationKind::StartUnit,
        Change::RebootNode { .. } => v1::OperationKind::RebootNode,
    };
    let steps = operation.steps.into_iter().map(|step| v1::Step {
        at: Some(timestamp(step.at)),
        name: step.name,
        message: step.message,
    });
    v1::Operation {
        kind: kind.into(),
        unit: operation.change.unit().unwrap_or_default().to_owned(),
        state: state.into(),
        order: Some(v1::Order {
            operation_id: operation.id.clone(),
            epoch: operation.order.epoch,
            reason: operation.order.reason,
            task_id: operation.order.task_id,
            requester: operation.order.requester,
            dry_run: operation.order.dry_run,
            node: operation.order.node,
        }),
        id: operation.id,
        caller: operation.caller,
        started_at: Some(timestamp(operation.started_at)),
        ended_at: operation.ended_at.map(timestamp),
        steps: steps.collect(),
        evidence: Some(v1::Evidence {
            invocation_id_before: operation.evidence.invocation_id_before,
            invocation_id_after: operation.evidence.invocation_id_after,
            boot_id_before: operation.evidence.boot_id_before,
            boot_id_after: operation.evidence.boot_id_after,
            unit_took: operation.evidence.unit_took.map(duration),
        }),
        failure: failure.map(self::failure),
        caller_fingerprint: operation.caller_fingerprint,
    }
}

pub(super) fn audit_record(record: Record) -> v1::AuditRecord {
    let phase = match record.phase {
        Phase::Received => v1::AuditPhase::Received,
        Phase::Answered => v1::AuditPhase::Answered,
        Phase::Refused => v1::AuditPhase::Refused,
    };
    v1::AuditRecord {
        number: record.seq,
        at: Some(timestamp(record.at)),
        phase: phase.into(),
        method: record.method,
        operation_id: record.operation_id,
        unit: record.unit,
        caller: record.caller,
        caller_fingerprint: record.fingerprint,
        caller_serial: record.serial,
        caller_issuer: record.issuer,
        address: record.address,
        reason: record.reason,
        task_id: record.task_id,
        requester: record.requester,
        epoch: record.epoch,
        outcome: record.outcome,
        untold: record.untold,
    }
}

fn failure(failure: Failure) -> v1::Failure {
    let kind = match failure.kind {
        FailureKind::Job => v1::FailureKind::Job,
        FailureKind::Probe => v1::FailureKind::Probe,
        FailureKind::Interrupted => v1::FailureKind::Interrupted,
        FailureKind::Systemd => v1::FailureKind::Systemd,
        FailureKind::NotRebooted => v1::FailureKind::NotRebooted,
        FailureKind::Refused => v1::FailureKind::Refused,
        FailureKind::Cancelled => v1::FailureKind::Cancelled,
    };
    v1::Failure { kind: kind.into(), message: failure.message, journal: failure.journal }
}

pub(super) fn unit(unit: Unit, probe_url: String, package: Option<Package>, program_replaced: bool) -> v1::Unit {
    let (package, package_version) = package.map(|package| (package.name, package.version)).unwrap_or_default();
    v1::Unit {
        name: unit.name,
        load_state: unit.load_state,
        active_state: unit.active_state,
        sub_state: unit.sub_state,
        invocation_id: unit.invocation_id,
        restarts: unit.restarts,
        main_pid: unit.main_pid,
        active_since: unit.active_since.map(timestamp),
        result: unit.result,
        probe_url,
        needs_daemon_reload: unit.needs_daemon_reload,
        package,
        package_version,
        program_replaced,
        file_state: unit.file_state,
    }
}

pub(super) fn inhibitor(inhibitor: Inhibitor) -> v1::Inhibitor {
    let Inhibitor { what, who, why, mode, uid, pid } = inhibitor;
    v1::Inhibitor { what, who, why, mode, uid, pid }
}

pub(super) fn session(session: UserSession) -> v1::Session {
    let UserSession { id, user, uid } = session;
    v1::Session { id, user, uid }
}

pub(super) fn scheduled_shutdown(shutdown: ScheduledShutdown) -> v1::ScheduledShutdown {
    let ScheduledShutdown { kind, at, message } = shutdown;
    v1::ScheduledShutdown { kind, at: at.map(timestamp), message }
}

pub(super) fn replaced_binary(replacement: &Replacement) -> v1::ReplacedBinary {
    let Replacement { noticed_at, version, problem } = replacement.clone();
    v1::ReplacedBinary { version, noticed_at: Some(timestamp(noticed_at)), problem: problem.unwrap_or_default() }
}

pub(super) fn blocker(blocker: Blocker) -> v1::Blocker {
    let Blocker { name, kind, message } = blocker;
    let kind = match kind {
        BlockerKind::Inhibitor => v1::BlockerKind::Inhibitor,
        BlockerKind::User => v1::BlockerKind::User,
        BlockerKind::ScheduledShutdown => v1::BlockerKind::ScheduledShutdown,
    };
    v1::Blocker { name, kind: kind.into(), message }
}

fn hold(hold: Hold) -> v1::Hold {
    v1::Hold { path: hold.path.display().to_string(), text: hold.text, since: hold.since.map(timestamp) }
}

/// All holds as one, for callers that know no others: a hold file, else what was set through the agent and is kept at `path`.
pub(super) fn any_hold(file: Option<Hold>, owned: &[OwnedHold], path: &Path) -> Option<v1::Hold> {
    file.map(hold).or_else(|| {
        let first = owned.first()?;
        let text: Vec<_> = owned.iter().map(OwnedHold::text).collect();
        let since = owned.iter().map(|hold| hold.since).min().unwrap_or(first.since);
        Some(v1::Hold { path: path.display().to_string(), text: text.join("\n"), since: Some(timestamp(since)) })
    })
}

pub(super) fn owned_hold(hold: OwnedHold) -> v1::OwnedHold {
    let OwnedHold { owner, reason, requester, since, until } = hold;
    v1::OwnedHold { owner, reason, requester, since: Some(timestamp(since)), until: until.map(timestamp) }
}

pub(super) fn wanted(unit: String, wanted: Wanted) -> v1::WantedRestart {
    let requests = wanted.requests.into_iter().map(|asked| v1::RestartRequest {
        at: Some(timestamp(asked.at)),
        requester: asked.requester,
        reason: asked.reason,
    });
    v1::WantedRestart {
        unit,
        invocation_id: wanted.invocation_id,
        requests: requests.collect(),
        more: wanted.more,
        at_once: wanted.at_once,
    }
}

pub(super) fn unannounced(start: Unannounced) -> v1::UnannouncedStart {
    let Unannounced { unit, at, automatic, before, after } = start;
    v1::UnannouncedStart { unit: unit.unwrap_or_default(), at: Some(timestamp(at)), automatic, before, after }
}

pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    // protobuf's nanoseconds count forward from the second; jiff's have the sign of the second.
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        return prost_types::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 };
    }
    prost_types::Timestamp { seconds, nanos }
}

fn duration(duration: SignedDuration) -> prost_types::Duration {
    prost_types::Duration { seconds: duration.as_secs(), nanos: duration.subsec_nanos() }
}

/// `None` if it is longer than any time span.
pub(super) fn signed(duration: prost_types::Duration) -> Option<SignedDuration> {
    SignedDuration::from_secs(duration.seconds).checked_add(SignedDuration::from_nanos(duration.nanos.into()))
}
