//! A workload to begin tests with.

use std::collections::BTreeMap;

use super::{
    Kind,
    workload::{Status, Strategy, Workload, WorkloadId},
};

/// In the namespace `shop`: one pod, at rest.
pub(crate) fn workload(kind: Kind, name: &str) -> Workload {
    let pod_labels = BTreeMap::from([("app".to_owned(), name.to_owned())]);
    Workload {
        id: WorkloadId { namespace: "shop".to_owned(), kind, name: name.to_owned() },
        uid: format!("uid-of-{name}"),
        version: "7".to_owned(),
        generation: 1,
        replicas: 1,
        strategy: Strategy::RollingUpdate { partition: 0, limits: String::new() },
        paused: false,
        deadline: None,
        restarted_at: None,
        labels: BTreeMap::new(),
        images: BTreeMap::new(),
        pod_labels,
        selector: format!("app={name}"),
        status: Status { observed: 1, pods: 1, updated: 1, ready: 1, available: 1, ..Status::default() },
    }
}
