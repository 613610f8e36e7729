//! What a drain reports while it runs and when it has ended.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::pod::{Owner, PodRef};

/// The state of a running drain, reported whenever it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainProgress {
    /// Pods to evict, including those that have gone and those that came late.
    pub total: usize,
    /// How many of those have gone.
    pub gone: usize,
    /// Pods whose eviction was accepted but which are still terminating.
    pub leaving: usize,
    /// Pods whose eviction a budget or an admission webhook forbids for now.
    pub blocked: Vec<BlockedPod>,
    /// Pods that can never be evicted as things stand.
    pub failed: Vec<FailedPod>,
    /// Pods that must end by themselves before they are evicted.
    pub finishing: usize,
    /// Pods whose Deployment starts another one first.
    pub replacing: usize,
    /// Volumes still attached to the node although their pods have gone.
    pub volumes: Vec<String>,
    /// Pods that were escalated.
    pub escalated: Vec<EscalatedPod>,
    /// Pods that are left alone.
    pub staying: usize,
    /// kubectl's warnings, as `ignoring DaemonSet-managed Pods: kube-system/proxy-x`.
    pub warnings: Vec<String>,
    /// Why the API does not answer, while it does not.
    pub trouble: Option<String>,
    /// Since when no kube-controller-manager has led: blocked pods wait for that, and are not stuck.
    pub not_refilled_since: Option<Timestamp>,
}

/// A pod that a disruption budget or an admission webhook blocks for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockedPod {
    /// In JSON its fields stand beside the others.
    #[serde(flatten)]
    pub pod: PodRef,
    /// The budget, in the pod's namespace; `None` if the server did not name it, or it is none.
    pub budget: Option<String>,
    /// The admission webhook that denies its eviction, if one does.
    pub webhook: Option<String>,
    /// The server's message, as "The disruption budget web needs 8 healthy pods and has 8 currently".
    pub message: String,
    /// When the first of its refusals in a row came, by this machine's clock.
    pub since: Timestamp,
    /// When its eviction is tried again at the latest; earlier if the budget changes.
    pub next_try: Timestamp,
}

/// A pod that did not go in time and was escalated, as the operator had asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EscalatedPod {
    /// In JSON its fields stand beside the others.
    #[serde(flatten)]
    pub pod: PodRef,
    /// The action, as "deleted after 5m0s: The disruption budget web needs 8 healthy pods and has 8 currently".
    pub what: String,
}

/// A pod that cannot be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedPod {
    /// In JSON its fields stand beside the others.
    #[serde(flatten)]
    pub pod: PodRef,
    /// The server's message, or what the pod did instead of going.
    pub message: String,
}

/// A pod that forbids the drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedPod {
    /// In JSON its fields stand beside the others.
    #[serde(flatten)]
    pub pod: PodRef,
    /// kubectl's reason, as "Pods with local storage (use --delete-emptydir-data to override)".
    pub message: String,
}

/// A pod that is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StayingPod {
    /// In JSON its fields stand beside the others.
    #[serde(flatten)]
    pub pod: PodRef,
    /// Which rule keeps it.
    pub reason: StayReason,
}

/// Why a pod is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StayReason {
    /// Its DaemonSet would bring it back to the same node.
    DaemonSet,
    /// The kubelet runs it from a file.
    Mirror,
    /// It was deleted long ago, but its kubelet is gone.
    LongDeleted,
    /// The site or the operator has it skipped.
    Policy,
}

/// A pod that has gone from the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedPod {
    /// When it was made, by the server's clock.
    #[serde(skip)]
    pub created: Option<Timestamp>,
    /// In JSON its fields stand beside the others.
    #[serde(flatten)]
    pub pod: PodRef,
    /// What starts another one in its place; None for a bare pod.
    pub owner: Option<Owner>,
    /// When its deletion was requested, by the server's clock, if that was seen.
    pub asked: Option<Timestamp>,
}

/// The result of a drain that emptied its node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drained {
    /// The pods that have gone, in the order in which they went.
    pub moved: Vec<MovedPod>,
    /// The pods that the filters left alone.
    pub stayed: Vec<StayingPod>,
    /// kubectl's warnings.
    pub warnings: Vec<String>,
    /// Pods that were escalated.
    pub escalated: Vec<EscalatedPod>,
    /// How long it took.
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
}

/// What a failed drain leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remains {
    /// The pods that have gone.
    pub moved: Vec<MovedPod>,
    /// Pods whose eviction was accepted but which had not terminated.
    pub leaving: Vec<PodRef>,
    /// Pods that a budget or an admission webhook blocked.
    pub blocked: Vec<BlockedPod>,
    /// Pods that can never be evicted as things stand.
    pub failed: Vec<FailedPod>,
    /// Pods whose eviction had no answer yet, or was put off by a busy server.
    pub waiting: Vec<PodRef>,
    /// Pods that had yet to end by themselves.
    pub finishing: Vec<PodRef>,
    /// Pods whose Deployment was starting another one first, and the Deployment.
    pub replacing: Vec<(PodRef, String)>,
    /// Volumes still attached to the node although their pods had gone.
    pub volumes: Vec<String>,
    /// Since when no kube-controller-manager had led, if pods were blocked at the end and none did.
    pub not_refilled_since: Option<Timestamp>,
}
