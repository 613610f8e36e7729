//! What runs in a cluster, and whether it is rolled out: Deployments, DaemonSets and StatefulSets of all namespaces.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, api::ListParams, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;
use usher_core::staging::{Workload, WorkloadId, Workloads};

use super::{Namespaces, namespaces};
use crate::cluster::{Cluster, ClusterError, PATIENCE, list};

/// Reads what runs in a cluster, page by page.
///
/// # Errors
///
/// If the API does not answer or forbids it.
pub async fn inventory(cluster: &Cluster) -> Result<Workloads, ClusterError> {
    let (namespaces, deployments, daemon_sets, stateful_sets) = futures::join!(
        namespaces::matching(cluster, ""),
        read::<Deployment>(cluster, "deployment", |object| {
            let spec = object.spec.as_ref();
            (spec.map(|spec| &spec.template), deployment(object))
        }),
        read::<DaemonSet>(cluster, "daemonset", |object| {
            let spec = object.spec.as_ref();
            (spec.map(|spec| &spec.template), daemon_set(object))
        }),
        read::<StatefulSet>(cluster, "statefulset", |object| {
            let spec = object.spec.as_ref();
            (spec.map(|spec| &spec.template), stateful_set(object))
        }),
    );
    let namespaces = namespaces?;
    let mut workloads = deployments?;
    workloads.extend(daemon_sets?);
    workloads.extend(stateful_sets?);
    Ok(Workloads { namespaces, workloads })
}

/// All of one kind; `look` gives the template and what is missing.
async fn read<K>(
    cluster: &Cluster,
    kind: &'static str,
    look: impl Fn(&K) -> (Option<&PodTemplateSpec>, Option<String>),
) -> Result<BTreeMap<WorkloadId, Workload>, ClusterError>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Namespaces::All.api(cluster.client().clone());
    let params = ListParams::default().limit(list::PAGE);
    let read = list::fold(&api, params, PATIENCE, BTreeMap::new(), |found, object: K| {
        let ObjectMeta { namespace, name, .. } = object.meta().clone();
        let id = WorkloadId { namespace: namespace.unwrap_or_default(), kind, name: name.unwrap_or_default() };
        let (template, unfinished) = look(&object);
        found.insert(id, Workload { images: template.map(images).unwrap_or_default(), unfinished });
    });
    read.await.map(|(found, _)| found).map_err(|source| cluster.error(&format!("list the {kind}s"), source))
}

/// The images of its containers by their names; those that run before them included.
fn images(template: &PodTemplateSpec) -> BTreeMap<String, String> {
    let spec = template.spec.iter();
    let containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    containers.map(|container| (container.name.clone(), container.image.clone().unwrap_or_default())).collect()
}

/// The controller has not seen the newest spec: its counts are of an older one.
fn unseen(meta: &ObjectMeta, observed: Option<i64>) -> Option<String> {
    (observed.unwrap_or_default() < meta.generation.unwrap_or_default())
        .then(|| "its controller has not seen the newest spec yet".to_owned())
}

fn fewer(have: Option<i32>, wanted: i32, what: &str) -> Option<String> {
    let have = have.unwrap_or_default();
    (have < wanted).then(|| format!("{have} of {wanted} {what}"))
}

/// As `kubectl rollout status` has it: all replicas are of the newest template, none of an older one is left, all are available.
fn deployment(object: &Deployment) -> Option<String> {
    let status = object.status.clone().unwrap_or_default();
    let wanted = object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or_default();
    let old = status.replicas.unwrap_or_default() - updated;
    unseen(&object.metadata, status.observed_generation)
        .or_else(|| fewer(status.updated_replicas, wanted, "updated"))
        .or_else(|| (old > 0).then(|| format!("{old} of an older template left")))
        .or_else(|| fewer(status.available_replicas, wanted, "available"))
}

/// A pod that a DaemonSet replaces only when somebody deletes it counts although it is of an older template.
fn daemon_set(object: &DaemonSet) -> Option<String> {
    let status = object.status.clone().unwrap_or_default();
    let strategy = object.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref()?.type_.as_deref());
    let wanted = status.desired_number_scheduled;
    let updated = || match strategy {
        Some("OnDelete") => None,
        _ => fewer(status.updated_number_scheduled, wanted, "updated"),
    };
    unseen(&object.metadata, status.observed_generation)
        .or_else(updated)
        .or_else(|| fewer(status.number_available, wanted, "available"))
}

/// With a partition only the pods from its number on are of the newest template.
fn stateful_set(object: &StatefulSet) -> Option<String> {
    let status = object.status.clone().unwrap_or_default();
    let spec = object.spec.clone().unwrap_or_default();
    let wanted = spec.replicas.unwrap_or(1);
    let strategy = spec.update_strategy.unwrap_or_default();
    let partition = strategy.rolling_update.and_then(|rolling| rolling.partition).unwrap_or_default();
    let is_one_revision = status.update_revision == status.current_revision;
    let updated = || match strategy.type_.as_deref() {
        Some("OnDelete") => None,
        _ if is_one_revision => None,
        _ => fewer(status.updated_replicas, (wanted - partition).max(0), "updated"),
    };
    unseen(&object.metadata, status.observed_generation)
        .or_else(updated)
        .or_else(|| fewer(status.ready_replicas, wanted, "ready"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<K: DeserializeOwned>(spec: Value, status: Value) -> K {
        let metadata = json!({"name": "x", "namespace": "web", "generation": 3});
        let mut spec = spec;
        spec["selector"] = json!({});
        spec["template"] = json!({});
        spec["serviceName"] = "x".into();
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn a_deployment_is_rolled_out_once_all_are_new_and_available_and_no_old_one_is_left() {
        for (status, expected) in [
            (json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}), None),
            (
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
                Some("its controller has not seen the newest spec yet"),
            ),
            (
                json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
                Some("1 of 2 updated"),
            ),
            (
                json!({"observedGeneration": 3, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}),
                Some("1 of an older template left"),
            ),
            (json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2}), Some("0 of 2 available")),
        ] {
            assert_eq!(deployment(&object(json!({"replicas": 2}), status.clone())).as_deref(), expected, "{status}");
        }
        assert_eq!(deployment(&object(json!({"replicas": 0}), json!({"observedGeneration": 3}))), None);
    }

    #[test]
    fn the_other_sets_are_rolled_out_by_their_own_strategies() {
        let status = json!({
            "observedGeneration": 3, "currentNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 3,
            "desiredNumberScheduled": 3, "updatedNumberScheduled": 1, "numberAvailable": 3,
        });
        let strategy = |kind: &str| json!({"updateStrategy": {"type": kind}});
        assert_eq!(daemon_set(&object(strategy("RollingUpdate"), status.clone())).as_deref(), Some("1 of 3 updated"));
        assert_eq!(daemon_set(&object(strategy("OnDelete"), status)), None);

        let status = json!({
            "observedGeneration": 3, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 1,
            "currentRevision": "a", "updateRevision": "b",
        });
        let partition = |number: i32| json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": number}}});
        assert_eq!(stateful_set(&object(partition(0), status.clone())).as_deref(), Some("1 of 3 updated"));
        assert_eq!(stateful_set(&object(partition(2), status)), None);
        let fresh = json!({"observedGeneration": 3, "replicas": 3, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "a"});
        assert_eq!(stateful_set(&object(partition(0), fresh)).as_deref(), Some("2 of 3 ready"));
    }
}
