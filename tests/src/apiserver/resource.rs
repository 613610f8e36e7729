//! The resources that are served, and how their paths and messages name them.

/// A kind of object in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// Name in paths: `pods`.
    pub plural: &'static str,
    /// Name of one, in lower case.
    pub singular: &'static str,
    /// Name of the type.
    pub kind: &'static str,
    /// `kubectl`'s abbreviations.
    pub short: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether there is a `/status` subresource, so that the main one leaves the status alone.
    pub status: bool,
    /// Whether `metadata.generation` counts changes of the spec.
    pub generation: bool,
    /// Whether a PUT without resourceVersion is taken ("last writer wins").
    pub unconditional_update: bool,
}

/// Namespaces, Nodes and Pods are named by code; the others are found by path.
pub(super) const NAMESPACES: &Resource =
    &Resource { status: true, ..cluster("namespaces", "namespace", "Namespace", &["ns"]) };
pub(super) const NODES: &Resource = &Resource { status: true, ..cluster("nodes", "node", "Node", &["no"]) };
pub(super) const PODS: &Resource =
    &Resource { status: true, generation: true, ..namespaced("", "pods", "pod", "Pod", &["po"]) };
pub(super) const SECRETS: &Resource = &namespaced("", "secrets", "secret", "Secret", &[]);
pub(super) const LEASES: &Resource =
    &Resource { unconditional_update: false, ..namespaced("coordination.k8s.io", "leases", "lease", "Lease", &[]) };
pub(super) const ENDPOINT_SLICES: &Resource =
    &namespaced("discovery.k8s.io", "endpointslices", "endpointslice", "EndpointSlice", &[]);
pub(super) const BUDGETS: &Resource = &Resource {
    status: true,
    generation: true,
    unconditional_update: false,
    ..namespaced("policy", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", &["pdb"])
};
pub(super) const CONTROLLER_REVISIONS: &Resource =
    &namespaced("apps", "controllerrevisions", "controllerrevision", "ControllerRevision", &[]);
pub(super) const DEPLOYMENTS: &Resource = &workload("apps", "deployments", "deployment", "Deployment", &["deploy"]);
pub(super) const REPLICA_SETS: &Resource = &workload("apps", "replicasets", "replicaset", "ReplicaSet", &["rs"]);
pub(super) const STATEFUL_SETS: &Resource = &workload("apps", "statefulsets", "statefulset", "StatefulSet", &["sts"]);
pub(super) const DAEMON_SETS: &Resource = &workload("apps", "daemonsets", "daemonset", "DaemonSet", &["ds"]);
pub(super) const CRON_JOBS: &Resource = &workload("batch", "cronjobs", "cronjob", "CronJob", &["cj"]);
pub(super) const JOBS: &Resource = &workload("batch", "jobs", "job", "Job", &[]);

pub(super) const ALL: &[&Resource] = &[
    NAMESPACES,
    NODES,
    PODS,
    &namespaced("", "configmaps", "configmap", "ConfigMap", &["cm"]),
    &namespaced("", "endpoints", "endpoints", "Endpoints", &["ep"]),
    &namespaced("", "events", "event", "Event", &["ev"]),
    &namespaced("", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", &["pvc"]),
    &Resource { status: true, ..cluster("persistentvolumes", "persistentvolume", "PersistentVolume", &["pv"]) },
    SECRETS,
    &namespaced("", "serviceaccounts", "serviceaccount", "ServiceAccount", &["sa"]),
    &Resource { status: true, ..namespaced("", "services", "service", "Service", &["svc"]) },
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    CRON_JOBS,
    JOBS,
    LEASES,
    ENDPOINT_SLICES,
    &namespaced("events.k8s.io", "events", "event", "Event", &["ev"]),
    BUDGETS,
    &Resource { group: "storage.k8s.io", ..cluster("csinodes", "csinode", "CSINode", &[]) },
    &Resource { group: "storage.k8s.io", ..cluster("volumeattachments", "volumeattachment", "VolumeAttachment", &[]) },
];

const fn cluster(
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
) -> Resource {
    Resource { namespaced: false, ..namespaced("", plural, singular, kind, short) }
}

const fn namespaced(
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
) -> Resource {
    Resource {
        group,
        version: "v1",
        plural,
        singular,
        kind,
        short,
        namespaced: true,
        status: false,
        generation: false,
        unconditional_update: true,
    }
}

const fn workload(
    group: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
) -> Resource {
    Resource { status: true, generation: true, ..namespaced(group, plural, singular, kind, short) }
}

impl Resource {
    /// The resource at this place, if it is served.
    pub(super) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|it| it.group == group && it.version == version && it.plural == plural)
    }

    /// `v1`, `policy/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As messages name it: `pods`, `leases.coordination.k8s.io`.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// As messages about invalid objects name it: `Pod`, `Lease.coordination.k8s.io`.
    pub(super) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_owned() } else { format!("{}.{}", self.kind, self.group) }
    }
}
