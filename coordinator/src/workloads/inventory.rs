//! What runs in a cluster, and whether it is rolled out: Deployments, DaemonSets and StatefulSets of all namespaces.

use usher_core::staging::{Workload as Present, WorkloadId, Workloads};

use super::{
    Namespaces, namespaces,
    rollout::{self, Kind, Places, Standing, Strategy, Workload, standing},
};
use crate::cluster::{Cluster, ClusterError};

/// Reads what runs in a cluster, page by page.
///
/// # Errors
///
/// If the API does not answer or forbids it.
pub async fn inventory(cluster: &Cluster) -> Result<Workloads, ClusterError> {
    let places = Places::from(Namespaces::All);
    let all = |kind| rollout::all(cluster, &places, kind, None);
    let (namespaces, deployments, daemon_sets, stateful_sets) = futures::join!(
        namespaces::matching(cluster, ""),
        all(Kind::Deployment),
        all(Kind::DaemonSet),
        all(Kind::StatefulSet),
    );
    let workloads = [deployments?, daemon_sets?, stateful_sets?].into_iter().flatten().map(|workload| {
        let unfinished = unfinished(&workload);
        let rollout::WorkloadId { namespace, kind, name } = workload.id;
        let id = WorkloadId { namespace, kind: kind.word(), name };
        (id, Present { images: workload.images, unfinished })
    });
    Ok(Workloads { namespaces: namespaces?, workloads: workloads.collect() })
}

/// What keeps it from being rolled out. Pods of an older template that change only when somebody deletes them count as well,
/// as long as they are available: their operators want it so.
fn unfinished(workload: &Workload) -> Option<String> {
    let waits_for_nobody = workload.strategy == Strategy::OnDelete;
    match standing(workload) {
        Standing::Rolling(why) | Standing::Failed(why) => Some(why),
        Standing::ByHand(why) if !waits_for_nobody => Some(why),
        Standing::Complete | Standing::ByHand(_) => {
            let (available, replicas) = (workload.status.available, workload.replicas);
            (available < replicas && waits_for_nobody).then(|| format!("{available} of {replicas} pods are available"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::rollout::{Status, fixtures::workload};

    #[test]
    fn pods_of_an_older_template_count_where_somebody_has_to_delete_them() {
        let rolling = || Strategy::RollingUpdate { partition: 0, limits: String::new() };
        let unfinished = |kind, strategy, paused, (updated, available)| {
            let status = Status { observed: 1, pods: 3, updated, ready: available, available, ..Status::default() };
            unfinished(&Workload { strategy, paused, replicas: 3, status, ..workload(kind, "web") })
        };
        for (kind, strategy, paused, status, expected) in [
            (Kind::Deployment, rolling(), false, (3, 3), None),
            (Kind::Deployment, rolling(), false, (1, 3), Some("1 of 3 pods are new")),
            (Kind::Deployment, rolling(), true, (1, 3), Some("paused: 1 of 3 pods are new")),
            (Kind::Deployment, rolling(), false, (3, 2), Some("2 of 3 pods are available")),
            (Kind::DaemonSet, Strategy::OnDelete, false, (1, 3), None),
            (Kind::StatefulSet, Strategy::OnDelete, false, (1, 2), Some("2 of 3 pods are available")),
        ] {
            let found = unfinished(kind, strategy, paused, status);
            assert_eq!(found.as_deref(), expected, "{kind} {status:?}");
        }
    }
}
