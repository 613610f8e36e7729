//! What a drain would do, as data: a verdict on each pod of a node, and the budgets behind them.

use jiff::Timestamp;
use serde::Serialize;
use usher_core::drain::DrainOptions;

use super::{
    outcome::{RefusedPod, StayReason, StayingPod},
    pod::PodRef,
};

/// What will become of a pod, as things stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "camelCase")]
pub enum Verdict {
    /// It is evicted at once.
    Now,
    /// It is evicted once a budget allows it.
    Wait {
        /// The budget, in the pod's namespace.
        budget: String,
        /// How many of the budget's pods must be healthy.
        needs: i32,
        /// How many are healthy.
        has: i32,
    },
    /// It cannot be evicted as things stand.
    Never {
        /// The obstacle, as "its namespace is protected".
        because: String,
        /// What removes the obstacle, as "--allow-namespace lets it go this once".
        unblock: String,
        /// Whether the server has the last word: the verdict foresees its answer, and a dry run that is accepted unsays it. Else the
        /// obstacle is none of the server's, such as a successor that would have no place.
        #[serde(skip)]
        foresees_the_server: bool,
    },
    /// It is evicted once it has ended by itself.
    Finish,
    /// Its Deployment starts another pod first, then removes this one.
    Replace {
        /// The Deployment, in the pod's namespace.
        deployment: String,
    },
    /// It is left alone.
    Stay {
        /// Which rule keeps it.
        reason: StayReason,
    },
}

impl Verdict {
    /// Whether the pod leaves by an eviction right away, so that a dry run of it tells something.
    pub(crate) fn is_eviction(&self) -> bool {
        !matches!(self, Self::Finish | Self::Replace { .. })
    }

    pub(crate) fn is_never(&self) -> bool {
        matches!(self, Self::Never { .. })
    }
}

/// A pod, its verdict, and what an operator should know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodVerdict {
    /// The pod; in JSON its fields stand beside the verdict.
    #[serde(flatten)]
    pub pod: PodRef,
    /// The verdict; in JSON its name is the field `verdict`.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What to know before saying yes, as "a lone replica, away until another one is ready".
    pub cautions: Vec<String>,
}

/// What a drain of one node would do, as things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainPreview {
    /// The node's name.
    pub node: String,
    /// All pods of the node, by namespace and name.
    pub pods: Vec<PodVerdict>,
    /// Pods that would be evicted.
    pub evict: Vec<PodRef>,
    /// How many of those would have to wait for a budget at first.
    pub wait: usize,
    /// Pods that would be left alone.
    pub stay: Vec<StayingPod>,
    /// Pods that forbid the drain. If there are any, nothing would be evicted.
    pub refused: Vec<RefusedPod>,
    /// The budgets of the pods that would be evicted, by namespace and name.
    pub budgets: Vec<BudgetPreview>,
    /// kubectl's warnings, as `ignoring DaemonSet-managed Pods: kube-system/proxy-x`.
    pub warnings: Vec<String>,
    /// Volumes that are attached to the node although none of its pods uses them. The drain does not wait for them.
    pub unused_volumes: Vec<UnusedVolume>,
}

/// A VolumeAttachment that no pod of its node accounts for, as one that a driver has lost sight of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnusedVolume {
    /// The PersistentVolume, which may be gone.
    pub volume: String,
    /// The name of the VolumeAttachment.
    pub attachment: String,
    /// The driver that is to detach it.
    pub attacher: String,
    /// When it was attached, by the server's clock.
    pub since: Option<Timestamp>,
}

impl DrainPreview {
    /// The pods that keep a drain from beginning. [`DrainOptions::ignore_verdicts`] does not overrule kubectl's filters, which
    /// have flags of their own.
    pub fn against(&self, options: &DrainOptions) -> impl Iterator<Item = &PodVerdict> {
        let counts = |pod: &&PodVerdict| !options.ignore_verdicts || !self.evict.contains(&pod.pod);
        self.never().filter(counts)
    }

    /// The pods that can never go as things stand.
    pub fn never(&self) -> impl Iterator<Item = &PodVerdict> {
        self.pods.iter().filter(|pod| pod.verdict.is_never())
    }
}

/// A disruption budget and its share in a drain: the counts of its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetPreview {
    /// The budget's namespace, which is that of its pods.
    pub namespace: String,
    /// The budget's name.
    pub name: String,
    /// How many pods of this node count for it.
    pub pods: usize,
    /// `disruptionsAllowed`.
    pub allowed: i32,
    /// `currentHealthy`.
    pub healthy: i32,
    /// `desiredHealthy`.
    pub desired: i32,
    /// `expectedPods`.
    pub expected: i32,
}
