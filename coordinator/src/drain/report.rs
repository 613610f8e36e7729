//! What a drain tells while it runs and when it has ended.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Owner, PodRef};

/// Where a drain is. Told whenever something has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainProgress {
    /// Pods to be evicted, those included that have gone and those that came late.
    pub total: usize,
    /// Of those, pods that have gone.
    pub gone: usize,
    /// Pods whose eviction was accepted, and which have yet to end.
    pub leaving: usize,
    /// Pods whose eviction a budget forbids for now.
    pub blocked: Vec<BlockedPod>,
    /// Pods that can never be evicted as things stand.
    pub failed: Vec<FailedPod>,
    /// Pods that are to end by themselves before they are evicted.
    pub finishing: usize,
    /// Pods in whose place another one is started first.
    pub replacing: usize,
    /// Volumes of pods that have gone which are still attached to the node.
    pub volumes: Vec<String>,
    /// Pods that were treated harder, as the operator has asked for.
    pub escalated: Vec<EscalatedPod>,
    /// Pods that are left alone.
    pub staying: usize,
    /// What was let pass, in kubectl's words, as `ignoring DaemonSet-managed Pods: kube-system/proxy-x`.
    pub warnings: Vec<String>,
    /// Why the API could not be asked last, while it cannot.
    pub trouble: Option<String>,
    /// Since when nobody leads kube-controller-manager: blocked pods wait for that, and are not stuck.
    pub not_refilled_since: Option<Timestamp>,
}

/// A pod that a disruption budget keeps for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockedPod {
    /// The pod.
    #[serde(flatten)]
    pub pod: PodRef,
    /// The budget, in the pod's namespace; `None` if the server did not name it.
    pub budget: Option<String>,
    /// The server's words, as "The disruption budget web needs 8 healthy pods and has 8 currently".
    pub message: String,
    /// Since when it has been refused without a break, by this machine's clock.
    pub since: Timestamp,
    /// When it is asked about again at the latest; earlier if the budget changes.
    pub next_try: Timestamp,
}

/// A pod that did not go in time, and what was done about it because the operator had asked for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EscalatedPod {
    /// The pod.
    #[serde(flatten)]
    pub pod: PodRef,
    /// What was done, as "deleted after 5m0s: The disruption budget web needs 8 healthy pods and has 8 currently".
    pub what: String,
}

/// A pod whose eviction failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedPod {
    /// The pod.
    #[serde(flatten)]
    pub pod: PodRef,
    /// The server's words.
    pub message: String,
}

/// A pod that forbids the drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedPod {
    /// The pod.
    #[serde(flatten)]
    pub pod: PodRef,
    /// Why, in kubectl's words.
    pub message: String,
}

/// A pod that is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StayingPod {
    /// The pod.
    #[serde(flatten)]
    pub pod: PodRef,
    /// Why.
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
    /// It was deleted long ago and its kubelet does not answer.
    LongDeleted,
    /// The site or the operator wants it left alone.
    Policy,
}

/// A pod that has gone from the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedPod {
    /// The pod.
    #[serde(flatten)]
    pub pod: PodRef,
    /// What brings another one in its place.
    pub owner: Option<Owner>,
    /// When it was asked to go, by the server's clock, if that was seen.
    pub asked: Option<Timestamp>,
}

/// A drained node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drained {
    /// The pods that have gone, in the order in which they went.
    pub moved: Vec<MovedPod>,
    /// The pods that are still there, by right.
    pub stayed: Vec<StayingPod>,
    /// What was let pass, in kubectl's words.
    pub warnings: Vec<String>,
    /// Pods that were treated harder, as the operator has asked for.
    pub escalated: Vec<EscalatedPod>,
    /// How long it took.
    #[serde(rename = "tookSeconds", with = "usher_core::seconds")]
    pub took: Duration,
}

/// Where things are after a drain that did not succeed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remains {
    /// The pods that have gone all the same.
    pub moved: Vec<MovedPod>,
    /// Pods whose eviction was accepted, and which had not ended.
    pub leaving: Vec<PodRef>,
    /// Pods that a budget kept.
    pub blocked: Vec<BlockedPod>,
    /// Pods that can never be evicted as things stand.
    pub failed: Vec<FailedPod>,
    /// Pods whose eviction was not answered yet, or put off by a busy server.
    pub waiting: Vec<PodRef>,
    /// Pods that were to end by themselves and had not.
    pub finishing: Vec<PodRef>,
    /// Pods in whose place their Deployment was starting another one, and the Deployment.
    pub replacing: Vec<(PodRef, String)>,
    /// Volumes of pods that have gone which were still attached to the node.
    pub volumes: Vec<String>,
    /// Since when nobody leads kube-controller-manager, if pods were blocked at the end while nobody did.
    pub not_refilled_since: Option<Timestamp>,
}
