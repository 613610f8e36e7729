//! A workload as plain data: what the rules about rollouts look at.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, DeploymentCondition, StatefulSet},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::{api::DynamicObject, core::Selector};

use super::Kind;
use crate::cluster::names::RESTARTED_AT;

/// The reason of a Deployment's condition `Progressing` once `progressDeadlineSeconds` have passed without progress.
const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";

/// What identifies a workload to people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadId {
    pub namespace: String,
    pub kind: Kind,
    pub name: String,
}

impl std::fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.namespace, self.kind, self.name)
    }
}

/// How the controller replaces pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// Bit by bit. A StatefulSet leaves ordinals below the partition alone; it is 0 elsewhere.
    RollingUpdate {
        partition: i32,
        /// Pods that may be away, and pods that may be there on top, as written: `25%`.
        limits: String,
    },
    /// All old pods go before the first new one comes.
    Recreate,
    /// Not at all: somebody deletes the pods.
    OnDelete,
}

/// A Deployment, StatefulSet or DaemonSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub id: WorkloadId,
    pub uid: String,
    /// Its `resourceVersion`.
    pub version: String,
    pub generation: i64,
    /// Pods that it should have.
    pub replicas: i32,
    pub strategy: Strategy,
    pub paused: bool,
    /// After this long without progress a Deployment counts as failed.
    pub deadline: Option<Duration>,
    /// When somebody restarted it last, as the annotation has it.
    pub restarted_at: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// By the names of its pods' containers; those that run before the others included.
    pub images: BTreeMap<String, String>,
    /// Of its pods.
    pub pod_labels: BTreeMap<String, String>,
    /// Selects its pods, as kubectl writes selectors.
    pub selector: String,
    pub status: Status,
}

/// What the controller says of the rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The generation that the numbers are about.
    pub observed: i64,
    /// All pods.
    pub pods: i32,
    /// Pods of the present template.
    pub updated: i32,
    pub ready: i32,
    pub available: i32,
    /// Of a StatefulSet: the revision before the update, and that of the update.
    pub revisions: (String, String),
    /// The message of a Deployment whose progress deadline has passed.
    pub deadline_exceeded: Option<String>,
    /// Why a Deployment gets no more pods: a quota, or an admission webhook.
    pub no_pods: Option<String>,
}

impl Workload {
    /// Whether its last restart is that of this time. kubectl writes it in the zone of its user.
    pub fn was_restarted_at(&self, at: Timestamp) -> bool {
        self.restarted_at.as_deref().and_then(|text| text.parse().ok()) == Some(at)
    }

    /// None if the object is not of the kind.
    pub(super) fn of(kind: Kind, object: DynamicObject) -> Option<Self> {
        match kind {
            Kind::Deployment => deployment(object.try_parse().ok()?),
            Kind::StatefulSet => stateful_set(object.try_parse().ok()?),
            Kind::DaemonSet => daemon_set(object.try_parse().ok()?),
        }
    }
}

fn deployment(object: Deployment) -> Option<Workload> {
    let (spec, status) = (object.spec?, object.status.unwrap_or_default());
    let strategy = spec.strategy.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let progress = conditions.iter().find(|it| it.type_ == "Progressing");
    let stuck = progress.filter(|it| it.reason.as_deref() == Some(DEADLINE_EXCEEDED));
    let failure = conditions.iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True");
    let message = |condition: &DeploymentCondition| condition.message.clone().unwrap_or_default();
    let workload = common(Kind::Deployment, object.metadata, &spec.selector, spec.template);
    Some(Workload {
        replicas: spec.replicas.unwrap_or(1),
        paused: spec.paused.unwrap_or_default(),
        deadline: spec.progress_deadline_seconds.and_then(|it| it.try_into().ok()).map(Duration::from_secs),
        strategy: match strategy.type_.as_deref() {
            Some("Recreate") => Strategy::Recreate,
            _ => {
                let rolling = strategy.rolling_update.unwrap_or_default();
                rolling_update(0, rolling.max_unavailable.as_ref(), rolling.max_surge.as_ref())
            }
        },
        status: Status {
            observed: status.observed_generation.unwrap_or_default(),
            pods: status.replicas.unwrap_or_default(),
            updated: status.updated_replicas.unwrap_or_default(),
            ready: status.ready_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            revisions: <_>::default(),
            deadline_exceeded: stuck.map(message),
            no_pods: failure.map(message),
        },
        ..workload
    })
}

fn stateful_set(object: StatefulSet) -> Option<Workload> {
    let (spec, status) = (object.spec?, object.status.unwrap_or_default());
    let strategy = spec.update_strategy.unwrap_or_default();
    let workload = common(Kind::StatefulSet, object.metadata, &spec.selector, spec.template);
    Some(Workload {
        replicas: spec.replicas.unwrap_or(1),
        strategy: match strategy.type_.as_deref() {
            Some("OnDelete") => Strategy::OnDelete,
            _ => {
                let rolling = strategy.rolling_update.unwrap_or_default();
                rolling_update(rolling.partition.unwrap_or_default(), rolling.max_unavailable.as_ref(), None)
            }
        },
        status: Status {
            observed: status.observed_generation.unwrap_or_default(),
            pods: status.replicas,
            updated: status.updated_replicas.unwrap_or_default(),
            ready: status.ready_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            revisions: (status.current_revision.unwrap_or_default(), status.update_revision.unwrap_or_default()),
            ..Status::default()
        },
        ..workload
    })
}

fn daemon_set(object: DaemonSet) -> Option<Workload> {
    let (spec, status) = (object.spec?, object.status.unwrap_or_default());
    let strategy = spec.update_strategy.unwrap_or_default();
    let workload = common(Kind::DaemonSet, object.metadata, &spec.selector, spec.template);
    Some(Workload {
        replicas: status.desired_number_scheduled,
        strategy: match strategy.type_.as_deref() {
            Some("OnDelete") => Strategy::OnDelete,
            _ => {
                let rolling = strategy.rolling_update.unwrap_or_default();
                rolling_update(0, rolling.max_unavailable.as_ref(), rolling.max_surge.as_ref())
            }
        },
        status: Status {
            observed: status.observed_generation.unwrap_or_default(),
            pods: status.current_number_scheduled,
            updated: status.updated_number_scheduled.unwrap_or_default(),
            ready: status.number_ready,
            available: status.number_available.unwrap_or_default(),
            ..Status::default()
        },
        ..workload
    })
}

fn rolling_update(partition: i32, away: Option<&IntOrString>, surge: Option<&IntOrString>) -> Strategy {
    let shown = |limit: Option<&IntOrString>| match limit {
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(share)) => share.clone(),
        None => String::new(),
    };
    let limits = match (shown(away).as_str(), shown(surge).as_str()) {
        ("", "") => String::new(),
        (away, "" | "0") => format!("{away} away"),
        (away, surge) => format!("{away} away, {surge} more"),
    };
    Strategy::RollingUpdate { partition, limits }
}

/// What the three kinds have in common; the rest is for each to fill in.
fn common(kind: Kind, metadata: ObjectMeta, selector: &LabelSelector, template: PodTemplateSpec) -> Workload {
    let images = images(&template);
    let template = template.metadata.unwrap_or_default();
    // A server takes no selector that does not parse.
    let selector = Selector::try_from(selector.clone()).map(|selector| selector.to_string()).unwrap_or_default();
    Workload {
        id: WorkloadId {
            namespace: metadata.namespace.unwrap_or_default(),
            kind,
            name: metadata.name.unwrap_or_default(),
        },
        uid: metadata.uid.unwrap_or_default(),
        version: metadata.resource_version.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        replicas: 0,
        strategy: Strategy::OnDelete,
        paused: false,
        deadline: None,
        restarted_at: template.annotations.and_then(|mut annotations| annotations.remove(RESTARTED_AT)),
        labels: metadata.labels.unwrap_or_default(),
        images,
        pod_labels: template.labels.unwrap_or_default(),
        selector,
        status: Status::default(),
    }
}

fn images(template: &PodTemplateSpec) -> BTreeMap<String, String> {
    let spec = template.spec.iter();
    let containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    containers.map(|container| (container.name.clone(), container.image.clone().unwrap_or_default())).collect()
}
