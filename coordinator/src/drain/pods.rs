//! What a drain needs to know of a pod.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use serde::Serialize;

/// Marks the API's picture of a pod that the kubelet runs from a file: deleting the picture changes nothing.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// A pod by name and identity. A later pod of the same name has another `uid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The identity of this very pod.
    pub uid: String,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The controller of a pod, which brings a new one when it goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// As `apps/v1`.
    pub api_version: String,
    /// As `ReplicaSet`.
    pub kind: String,
    /// Its name, in the pod's namespace.
    pub name: String,
    /// Its identity.
    pub uid: String,
}

/// A pod on the node, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodFacts {
    pub(super) pod: PodRef,
    pub(super) owner: Option<Owner>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) phase: Phase,
    /// Its condition Ready is True.
    pub(super) ready: bool,
    /// Since when it is what it is, if the kubelet has said.
    pub(super) ready_changed: Option<Timestamp>,
    pub(super) is_mirror: bool,
    pub(super) has_empty_dir: bool,
    /// The PersistentVolumeClaims that it mounts, in its namespace.
    pub(super) claims: Vec<String>,
    /// When its grace ends; set once it was asked to go.
    pub(super) deletion: Option<Deletion>,
    pub(super) created: Option<Timestamp>,
    pub(super) node: Option<String>,
}

/// That a pod was asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deletion {
    /// When it was asked, by the server's clock.
    pub(super) asked: Timestamp,
    /// When its grace ends: the API's deletionTimestamp.
    pub(super) due: Timestamp,
}

/// How far a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Running,
    /// Succeeded or Failed: its containers have ended for good.
    Finished,
}

impl PodFacts {
    pub(super) fn of(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let spec = pod.spec.as_ref();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        let volumes = spec.and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
        let annotations = metadata.annotations.as_ref();
        let grace = metadata.deletion_grace_period_seconds.unwrap_or(0);
        Self {
            pod: PodRef {
                namespace: metadata.namespace.clone().unwrap_or_default(),
                name: metadata.name.clone().unwrap_or_default(),
                uid: metadata.uid.clone().unwrap_or_default(),
            },
            owner: metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true)).map(
                |owner| Owner {
                    api_version: owner.api_version.clone(),
                    kind: owner.kind.clone(),
                    name: owner.name.clone(),
                    uid: owner.uid.clone(),
                },
            ),
            labels: metadata.labels.clone().unwrap_or_default(),
            phase: match phase {
                Some("Succeeded" | "Failed") => Phase::Finished,
                Some("Pending") => Phase::Pending,
                _ => Phase::Running,
            },
            ready: ready.is_some_and(|ready| ready.status == "True"),
            ready_changed: ready.and_then(|ready| ready.last_transition_time.as_ref()).map(|at| at.0),
            is_mirror: annotations.is_some_and(|annotations| annotations.contains_key(MIRROR_ANNOTATION)),
            has_empty_dir: volumes.iter().any(|volume| volume.empty_dir.is_some()),
            claims: volumes.iter().filter_map(|volume| claim(volume, metadata.name.as_deref()?)).collect(),
            deletion: metadata.deletion_timestamp.as_ref().map(|due| Deletion {
                asked: due.0.checked_sub(jiff::SignedDuration::from_secs(grace)).unwrap_or(due.0),
                due: due.0,
            }),
            created: metadata.creation_timestamp.as_ref().map(|created| created.0),
            node: spec.and_then(|spec| spec.node_name.clone()),
        }
    }

    /// Whether its grace ended longer than `limit` ago, counted in whole seconds as kubectl does; a limit of 0 is none.
    pub(super) fn is_overdue(&self, limit: Duration, now: Timestamp) -> bool {
        let overdue = self.deletion.and_then(|deletion| Duration::try_from(now.duration_since(deletion.due)).ok());
        !limit.is_zero() && overdue.is_some_and(|overdue| overdue.as_secs() > limit.as_secs())
    }

    /// The DaemonSet that controls it, if one does.
    pub(super) fn daemon_set(&self) -> Option<&Owner> {
        self.owner.as_ref().filter(|owner| owner.api_version == "apps/v1" && owner.kind == "DaemonSet")
    }
}

/// The claim behind a volume, if there is one. That of an ephemeral volume is named after the pod and the volume.
fn claim(volume: &Volume, pod: &str) -> Option<String> {
    let named = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone());
    named.or_else(|| volume.ephemeral.as_ref().map(|_| format!("{pod}-{}", volume.name)))
}
