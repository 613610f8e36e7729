//! What a drain needs to know of a pod.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};

use super::taints::tolerate_a_cordon;
use crate::{
    cluster::pods::{is_daemon_set, is_mirror},
    drain::report::{Owner, PodRef},
};

/// The namespace and the name of a PersistentVolumeClaim.
pub(crate) type Claim = (String, String);

/// The parts of a pod that a drain depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodFacts {
    pub(crate) pod: PodRef,
    pub(crate) owner: Option<Owner>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) phase: Phase,
    /// Whether its condition Ready is True.
    pub(crate) ready: bool,
    /// When that condition last changed, if the kubelet has said.
    pub(crate) ready_changed: Option<Timestamp>,
    pub(crate) is_mirror: bool,
    pub(crate) has_empty_dir: bool,
    /// Names of the PersistentVolumeClaims that it mounts, in its namespace.
    pub(crate) claims: Vec<String>,
    /// Whether it mounts a volume that is attached to its node without a PersistentVolume.
    pub(crate) has_inline_volume: bool,
    /// Whether its kind may be scheduled to a cordoned node.
    pub(crate) tolerates_cordon: bool,
    /// Set once its deletion was requested.
    pub(crate) deletion: Option<Deletion>,
    pub(crate) created: Option<Timestamp>,
    pub(crate) node: Option<String>,
}

/// The requested deletion of a pod, by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deletion {
    pub(crate) requested: Timestamp,
    /// When its grace period ends: the API's deletionTimestamp.
    pub(crate) due: Timestamp,
}

/// The phase of a pod, as far as a drain tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    /// Succeeded or Failed: its containers have ended for good.
    Finished,
}

impl PodFacts {
    pub(crate) fn of(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let spec = pod.spec.as_ref();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        let volumes = spec.and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
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
            is_mirror: is_mirror(pod),
            has_empty_dir: volumes.iter().any(|volume| volume.empty_dir.is_some()),
            claims: volumes.iter().filter_map(|volume| claim(volume, metadata.name.as_deref()?)).collect(),
            has_inline_volume: volumes.iter().any(is_attached_inline),
            tolerates_cordon: spec.and_then(|spec| spec.tolerations.as_deref()).is_some_and(tolerate_a_cordon),
            deletion: metadata.deletion_timestamp.as_ref().map(|due| Deletion {
                requested: due.0.checked_sub(jiff::SignedDuration::from_secs(grace)).unwrap_or(due.0),
                due: due.0,
            }),
            created: metadata.creation_timestamp.as_ref().map(|created| created.0),
            node: spec.and_then(|spec| spec.node_name.clone()),
        }
    }

    /// Whether its grace period ended more than `limit` ago, in whole seconds as kubectl counts; a limit of 0 means never.
    pub(crate) fn is_overdue(&self, limit: Duration, now: Timestamp) -> bool {
        let overdue = self.deletion.and_then(|deletion| Duration::try_from(now.duration_since(deletion.due)).ok());
        !limit.is_zero() && overdue.is_some_and(|overdue| overdue.as_secs() > limit.as_secs())
    }

    /// The PersistentVolumeClaims that it mounts.
    pub(crate) fn claimed(&self) -> impl Iterator<Item = Claim> {
        self.claims.iter().map(|claim| (self.pod.namespace.clone(), claim.clone()))
    }

    /// The DaemonSet that controls it, if one does.
    pub(crate) fn daemon_set(&self) -> Option<&Owner> {
        self.owner.as_ref().filter(|owner| is_daemon_set(&owner.api_version, &owner.kind))
    }
}

/// The claim behind a volume, if any. That of an ephemeral volume is named after the pod and the volume.
fn claim(volume: &Volume, pod: &str) -> Option<String> {
    let named = volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone());
    named.or_else(|| volume.ephemeral.as_ref().map(|_| format!("{pod}-{}", volume.name)))
}

/// Whether the volume is of a kind of old that the attach-detach controller attaches although the pod names no claim.
fn is_attached_inline(volume: &Volume) -> bool {
    volume.aws_elastic_block_store.is_some()
        || volume.azure_disk.is_some()
        || volume.cinder.is_some()
        || volume.gce_persistent_disk.is_some()
        || volume.vsphere_volume.is_some()
}
