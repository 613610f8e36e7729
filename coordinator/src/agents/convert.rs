//! From the contract's generated types to plain ones.

use std::time::Duration;

use jiff::Timestamp;
use prost_types as wire;
use usher_proto::v1;

use usher_core::facts::{
    agent::{
        AgentStatus, Blocker, BlockerKind, Evidence, Failure, FailureKind, Hold, Inhibitor, Order, RebootBudget,
        ReplacedBinary, ScheduledShutdown, Session, Task, TaskKind, TaskState, TaskStep, UnitStatus,
    },
    audit::{AuditPhase, AuditRecord},
    local::{OwnedHold, RestartRequest, UnannouncedStart, WantedRestart},
};

/// A message of the contract that stands for plain data.
pub(super) trait IntoPlain {
    type Plain;

    fn into_plain(self) -> Self::Plain;
}

/// The order as the contract writes it, to the agent of `node` and no other.
pub(super) fn on_the_wire(order: &Order, node: &str) -> v1::Order {
    let Order { operation_id, epoch, reason, task_id, requester, dry_run } = order.clone();
    let (task_id, node) = (task_id.unwrap_or_default(), node.to_owned());
    v1::Order { operation_id, epoch, reason, task_id, requester, dry_run, node }
}

impl IntoPlain for v1::Order {
    type Plain = Order;

    fn into_plain(self) -> Order {
        let Self { operation_id, epoch, reason, task_id, requester, dry_run, node: _ } = self;
        Order { operation_id, epoch, reason, task_id: filled(task_id), requester, dry_run }
    }
}

impl IntoPlain for v1::Node {
    type Plain = AgentStatus;

    fn into_plain(self) -> AgentStatus {
        let reboot = self.reboot_required.unwrap_or_default();
        let budget = self.reboot_budget.unwrap_or_default();
        AgentStatus {
            name: self.name,
            hostname: self.hostname,
            agent_version: self.agent_version,
            boot_id: self.boot_id,
            booted_at: time(self.booted_at),
            kernel_running: self.kernel_running,
            kernel_installed: filled(self.kernel_installed),
            reboot_required: reboot.required,
            reboot_packages: reboot.packages,
            units: all(self.units),
            inhibitors: all(self.inhibitors),
            sessions: all(self.sessions),
            blockers: all(self.blockers),
            lock_files: self.lock_files,
            hold: self.hold.map(IntoPlain::into_plain),
            reboot_budget: RebootBudget { used: budget.used, allowed: budget.allowed },
            highest_epoch: self.highest_epoch,
            certificate_not_after: time(self.certificate_not_after),
            current_operation: self.current_operation.map(IntoPlain::into_plain),
            now: time(self.now),
            warnings: self.warnings,
            scheduled_shutdown: self.scheduled_shutdown.map(IntoPlain::into_plain),
            reboot_refused: filled(self.reboot_refused),
            wanted_restarts: all(self.wanted_restarts),
            unannounced: all(self.unannounced),
            holds: all(self.holds),
            replaced_binary: self.replaced_binary.map(IntoPlain::into_plain),
        }
    }
}

impl IntoPlain for v1::Unit {
    type Plain = UnitStatus;

    fn into_plain(self) -> UnitStatus {
        UnitStatus {
            name: self.name,
            load_state: self.load_state,
            active_state: self.active_state,
            sub_state: self.sub_state,
            invocation_id: filled(self.invocation_id),
            restarts: self.restarts,
            main_pid: self.main_pid,
            active_since: time(self.active_since),
            result: self.result,
            probe_url: filled(self.probe_url),
            needs_daemon_reload: self.needs_daemon_reload,
            package: filled(self.package),
            package_version: filled(self.package_version),
            program_replaced: self.program_replaced,
            file_state: filled(self.file_state),
        }
    }
}

impl IntoPlain for v1::Inhibitor {
    type Plain = Inhibitor;

    fn into_plain(self) -> Inhibitor {
        let Self { what, who, why, mode, uid, pid } = self;
        Inhibitor { what, who, why, mode, uid, pid }
    }
}

impl IntoPlain for v1::Session {
    type Plain = Session;

    fn into_plain(self) -> Session {
        let Self { id, user, uid } = self;
        Session { id, user, uid }
    }
}

impl IntoPlain for v1::Blocker {
    type Plain = Blocker;

    fn into_plain(self) -> Blocker {
        let kind = match self.kind() {
            v1::BlockerKind::Unspecified => BlockerKind::Unknown,
            v1::BlockerKind::Inhibitor => BlockerKind::Inhibitor,
            v1::BlockerKind::User => BlockerKind::User,
            v1::BlockerKind::ScheduledShutdown => BlockerKind::ScheduledShutdown,
        };
        Blocker { name: self.name, kind, message: self.message }
    }
}

impl IntoPlain for v1::ReplacedBinary {
    type Plain = ReplacedBinary;

    fn into_plain(self) -> ReplacedBinary {
        let Self { version, noticed_at, problem } = self;
        ReplacedBinary { version: filled(version), noticed_at: time(noticed_at), problem: filled(problem) }
    }
}

impl IntoPlain for v1::ScheduledShutdown {
    type Plain = ScheduledShutdown;

    fn into_plain(self) -> ScheduledShutdown {
        ScheduledShutdown { kind: self.kind, at: time(self.at), message: self.message }
    }
}

impl IntoPlain for v1::Hold {
    type Plain = Hold;

    fn into_plain(self) -> Hold {
        Hold { path: self.path, text: self.text, since: time(self.since) }
    }
}

impl IntoPlain for v1::WantedRestart {
    type Plain = WantedRestart;

    fn into_plain(self) -> WantedRestart {
        let Self { unit, invocation_id, requests, more, at_once } = self;
        WantedRestart { unit, invocation_id, requests: all(requests), more, at_once }
    }
}

impl IntoPlain for v1::RestartRequest {
    type Plain = RestartRequest;

    fn into_plain(self) -> RestartRequest {
        RestartRequest { at: time(self.at), requester: self.requester, reason: self.reason }
    }
}

impl IntoPlain for v1::UnannouncedStart {
    type Plain = UnannouncedStart;

    fn into_plain(self) -> UnannouncedStart {
        let Self { unit, at, automatic, before, after } = self;
        UnannouncedStart { unit: filled(unit), at: time(at), automatic, before, after }
    }
}

impl IntoPlain for v1::OwnedHold {
    type Plain = OwnedHold;

    fn into_plain(self) -> OwnedHold {
        let Self { owner, reason, since, until, requester } = self;
        OwnedHold { owner, reason, since: time(since), until: time(until), requester }
    }
}

impl IntoPlain for v1::Operation {
    type Plain = Task;

    fn into_plain(self) -> Task {
        Task {
            kind: match self.kind() {
                v1::OperationKind::Unspecified => TaskKind::Unknown,
                v1::OperationKind::RestartUnit => TaskKind::RestartUnit,
                v1::OperationKind::StopUnit => TaskKind::StopUnit,
                v1::OperationKind::StartUnit => TaskKind::StartUnit,
                v1::OperationKind::RebootNode => TaskKind::RebootNode,
            },
            state: match self.state() {
                v1::OperationState::Unspecified | v1::OperationState::Running => TaskState::Running,
                v1::OperationState::Succeeded => TaskState::Succeeded,
                v1::OperationState::Failed => TaskState::Failed,
            },
            id: self.id,
            unit: filled(self.unit),
            order: self.order.unwrap_or_default().into_plain(),
            caller: self.caller,
            caller_fingerprint: filled(self.caller_fingerprint),
            started_at: time(self.started_at),
            ended_at: time(self.ended_at),
            steps: all(self.steps),
            evidence: self.evidence.unwrap_or_default().into_plain(),
            failure: self.failure.map(IntoPlain::into_plain),
        }
    }
}

impl IntoPlain for v1::AuditRecord {
    type Plain = AuditRecord;

    fn into_plain(self) -> AuditRecord {
        AuditRecord {
            phase: match self.phase() {
                v1::AuditPhase::Unspecified => AuditPhase::Unknown,
                v1::AuditPhase::Received => AuditPhase::Received,
                v1::AuditPhase::Answered => AuditPhase::Answered,
                v1::AuditPhase::Refused => AuditPhase::Refused,
            },
            number: self.number,
            at: time(self.at),
            method: self.method,
            operation_id: filled(self.operation_id),
            unit: filled(self.unit),
            caller: self.caller,
            caller_fingerprint: filled(self.caller_fingerprint),
            caller_serial: filled(self.caller_serial),
            caller_issuer: filled(self.caller_issuer),
            address: self.address,
            reason: filled(self.reason),
            task_id: filled(self.task_id),
            requester: filled(self.requester),
            epoch: self.epoch,
            outcome: filled(self.outcome),
            untold: self.untold,
        }
    }
}

impl IntoPlain for v1::Step {
    type Plain = TaskStep;

    fn into_plain(self) -> TaskStep {
        TaskStep { at: time(self.at), name: self.name, message: self.message }
    }
}

impl IntoPlain for v1::Evidence {
    type Plain = Evidence;

    fn into_plain(self) -> Evidence {
        Evidence {
            invocation_id_before: filled(self.invocation_id_before),
            invocation_id_after: filled(self.invocation_id_after),
            boot_id_before: filled(self.boot_id_before),
            boot_id_after: filled(self.boot_id_after),
            unit_took: self.unit_took.and_then(|took| Duration::try_from(took).ok()),
        }
    }
}

impl IntoPlain for v1::Failure {
    type Plain = Failure;

    fn into_plain(self) -> Failure {
        Failure {
            kind: match self.kind() {
                v1::FailureKind::Unspecified => FailureKind::Unknown,
                v1::FailureKind::Job => FailureKind::Job,
                v1::FailureKind::Probe => FailureKind::Probe,
                v1::FailureKind::Interrupted => FailureKind::Interrupted,
                v1::FailureKind::Systemd => FailureKind::Systemd,
                v1::FailureKind::NotRebooted => FailureKind::NotRebooted,
                v1::FailureKind::Refused => FailureKind::Refused,
                v1::FailureKind::Cancelled => FailureKind::Cancelled,
            },
            message: self.message,
            journal: self.journal,
        }
    }
}

fn all<W: IntoPlain>(items: Vec<W>) -> Vec<W::Plain> {
    items.into_iter().map(W::into_plain).collect()
}

/// Protocol buffers say "none" with an empty string.
fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// `None` also for a time that no calendar has.
fn time(timestamp: Option<wire::Timestamp>) -> Option<Timestamp> {
    let timestamp = timestamp?;
    Timestamp::new(timestamp.seconds, timestamp.nanos).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_fraction_and_nonsense_is_none() {
        let plain = time(Some(wire::Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 })).unwrap();
        assert_eq!(plain.to_string(), "2023-11-14T22:13:20.005Z");
        assert_eq!(time(Some(wire::Timestamp { seconds: i64::MAX, nanos: 0 })), None);
        assert_eq!(time(None), None);
    }

    #[test]
    fn an_order_survives_the_way_there_and_back() {
        let order = Order {
            operation_id: "4f7k2".into(),
            epoch: 7,
            reason: "kernel".into(),
            task_id: Some("T400123".into()),
            requester: "alice@cumin1001".into(),
            dry_run: true,
        };
        assert_eq!(on_the_wire(&order, "w1").into_plain(), order);
        assert_eq!(on_the_wire(&order, "w1").node, "w1");
        let without_task = Order { task_id: None, ..order };
        assert_eq!(on_the_wire(&without_task, "w1").into_plain(), without_task);
    }

    #[test]
    fn evidence_is_written_in_seconds() {
        let evidence = Evidence { unit_took: Some(Duration::from_millis(3800)), ..Evidence::default() };
        let json = serde_json::to_value(&evidence).unwrap();
        assert_eq!(json["unitTookSeconds"], 3.8);
        assert_eq!(json["bootIdBefore"], serde_json::Value::Null);
    }
}
