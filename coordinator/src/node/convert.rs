//! From the contract's generated types to plain ones.

use std::time::Duration;

use jiff::Timestamp;
use prost_types as wire;
use usher_proto::v1;

use super::types::{
    Blocker, BlockerKind, Evidence, Failure, FailureKind, Hold, Inhibitor, NodeStatus, Operation, OperationKind,
    OperationState, OperationStep, Order, RebootBudget, Session, UnitStatus,
};

impl From<&Order> for v1::Order {
    fn from(order: &Order) -> Self {
        let Order { operation_id, epoch, reason, task_id, requester, dry_run } = order.clone();
        Self { operation_id, epoch, reason, task_id: task_id.unwrap_or_default(), requester, dry_run }
    }
}

impl From<v1::Order> for Order {
    fn from(order: v1::Order) -> Self {
        let v1::Order { operation_id, epoch, reason, task_id, requester, dry_run } = order;
        Self { operation_id, epoch, reason, task_id: filled(task_id), requester, dry_run }
    }
}

impl From<v1::Node> for NodeStatus {
    fn from(node: v1::Node) -> Self {
        let reboot = node.reboot_required.unwrap_or_default();
        let budget = node.reboot_budget.unwrap_or_default();
        Self {
            name: node.name,
            hostname: node.hostname,
            agent_version: node.agent_version,
            boot_id: node.boot_id,
            booted_at: time(node.booted_at),
            kernel_running: node.kernel_running,
            kernel_installed: filled(node.kernel_installed),
            reboot_required: reboot.required,
            reboot_packages: reboot.packages,
            units: all(node.units),
            inhibitors: all(node.inhibitors),
            sessions: all(node.sessions),
            blockers: all(node.blockers),
            lock_files: node.lock_files,
            hold: node.hold.map(Into::into),
            reboot_budget: RebootBudget { used: budget.used, allowed: budget.allowed },
            highest_epoch: node.highest_epoch,
            certificate_not_after: time(node.certificate_not_after),
            current_operation: node.current_operation.map(Into::into),
            now: time(node.now),
            warnings: node.warnings,
        }
    }
}

impl From<v1::Unit> for UnitStatus {
    fn from(unit: v1::Unit) -> Self {
        Self {
            name: unit.name,
            load_state: unit.load_state,
            active_state: unit.active_state,
            sub_state: unit.sub_state,
            invocation_id: filled(unit.invocation_id),
            restarts: unit.restarts,
            main_pid: unit.main_pid,
            active_since: time(unit.active_since),
            result: unit.result,
            probe_url: filled(unit.probe_url),
            needs_daemon_reload: unit.needs_daemon_reload,
        }
    }
}

impl From<v1::Inhibitor> for Inhibitor {
    fn from(inhibitor: v1::Inhibitor) -> Self {
        let v1::Inhibitor { what, who, why, mode, uid, pid } = inhibitor;
        Self { what, who, why, mode, uid, pid }
    }
}

impl From<v1::Session> for Session {
    fn from(session: v1::Session) -> Self {
        let v1::Session { id, user, uid } = session;
        Self { id, user, uid }
    }
}

impl From<v1::Blocker> for Blocker {
    fn from(blocker: v1::Blocker) -> Self {
        let kind = match blocker.kind() {
            v1::BlockerKind::Unspecified => BlockerKind::Unknown,
            v1::BlockerKind::Inhibitor => BlockerKind::Inhibitor,
            v1::BlockerKind::User => BlockerKind::User,
        };
        Self { name: blocker.name, kind, message: blocker.message }
    }
}

impl From<v1::Hold> for Hold {
    fn from(hold: v1::Hold) -> Self {
        Self { path: hold.path, text: hold.text, since: time(hold.since) }
    }
}

impl From<v1::Operation> for Operation {
    fn from(operation: v1::Operation) -> Self {
        Self {
            kind: match operation.kind() {
                v1::OperationKind::Unspecified => OperationKind::Unknown,
                v1::OperationKind::RestartUnit => OperationKind::RestartUnit,
                v1::OperationKind::StopUnit => OperationKind::StopUnit,
                v1::OperationKind::StartUnit => OperationKind::StartUnit,
                v1::OperationKind::RebootNode => OperationKind::RebootNode,
            },
            state: match operation.state() {
                v1::OperationState::Unspecified | v1::OperationState::Running => OperationState::Running,
                v1::OperationState::Succeeded => OperationState::Succeeded,
                v1::OperationState::Failed => OperationState::Failed,
            },
            id: operation.id,
            unit: filled(operation.unit),
            order: operation.order.unwrap_or_default().into(),
            caller: operation.caller,
            started_at: time(operation.started_at),
            ended_at: time(operation.ended_at),
            steps: all(operation.steps),
            evidence: operation.evidence.unwrap_or_default().into(),
            failure: operation.failure.map(Into::into),
        }
    }
}

impl From<v1::Step> for OperationStep {
    fn from(step: v1::Step) -> Self {
        Self { at: time(step.at), name: step.name, message: step.message }
    }
}

impl From<v1::Evidence> for Evidence {
    fn from(evidence: v1::Evidence) -> Self {
        Self {
            invocation_id_before: filled(evidence.invocation_id_before),
            invocation_id_after: filled(evidence.invocation_id_after),
            boot_id_before: filled(evidence.boot_id_before),
            boot_id_after: filled(evidence.boot_id_after),
            unit_took: evidence.unit_took.and_then(|took| Duration::try_from(took).ok()),
        }
    }
}

impl From<v1::Failure> for Failure {
    fn from(failure: v1::Failure) -> Self {
        Self {
            kind: match failure.kind() {
                v1::FailureKind::Unspecified => FailureKind::Unknown,
                v1::FailureKind::Job => FailureKind::Job,
                v1::FailureKind::Probe => FailureKind::Probe,
                v1::FailureKind::Interrupted => FailureKind::Interrupted,
                v1::FailureKind::Systemd => FailureKind::Systemd,
                v1::FailureKind::NotRebooted => FailureKind::NotRebooted,
            },
            message: failure.message,
            journal: failure.journal,
        }
    }
}

fn all<W, P: From<W>>(items: Vec<W>) -> Vec<P> {
    items.into_iter().map(Into::into).collect()
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
        assert_eq!(Order::from(v1::Order::from(&order)), order);
        let without_task = Order { task_id: None, ..order };
        assert_eq!(Order::from(v1::Order::from(&without_task)), without_task);
    }

    #[test]
    fn evidence_is_written_in_seconds() {
        let evidence = Evidence { unit_took: Some(Duration::from_millis(3800)), ..Evidence::default() };
        let json = serde_json::to_value(&evidence).unwrap();
        assert_eq!(json["unitTookSeconds"], 3.8);
        assert_eq!(json["bootIdBefore"], serde_json::Value::Null);
    }
}
