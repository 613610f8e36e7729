use std::time::Duration;

use super::*;
use crate::workloads::rollout::fixtures::workload;

/// Generation 2; observed, wanted, pods, updated, ready, available.
fn counted(kind: Kind, [observed, replicas, pods, updated, ready, available]: [i32; 6]) -> Workload {
    let mut workload = workload(kind, "web");
    workload.generation = 2;
    workload.replicas = replicas;
    workload.status.observed = observed.into();
    workload.status.pods = pods;
    workload.status.updated = updated;
    workload.status.ready = ready;
    workload.status.available = available;
    workload.status.revisions = ("web-1".to_owned(), "web-2".to_owned());
    workload
}

fn said(standing: Standing) -> String {
    match standing {
        Standing::Complete => "complete".to_owned(),
        Standing::Rolling(what) => what,
        Standing::Failed(what) => format!("failed: {what}"),
        Standing::ByHand(what) => format!("by hand: {what}"),
    }
}

#[test]
fn a_deployment_is_complete_when_all_its_pods_are_new_and_available() {
    for (counts, expected) in [
        ([1, 3, 3, 3, 3, 3], "its controller has not seen the change yet"),
        ([2, 3, 4, 1, 4, 3], "1 of 3 pods are new"),
        ([2, 3, 4, 3, 4, 4], "1 old pod still there"),
        ([2, 3, 3, 3, 3, 2], "2 of 3 pods are available"),
        ([2, 3, 3, 3, 3, 3], "complete"),
        ([3, 3, 3, 3, 3, 3], "complete"),
        ([2, 0, 0, 0, 0, 0], "complete"),
    ] {
        assert_eq!(said(standing(&counted(Kind::Deployment, counts))), expected, "{counts:?}");
    }
}

#[test]
fn a_deployment_fails_when_its_progress_deadline_has_passed_unless_that_was_before_the_change() {
    let mut stuck = counted(Kind::Deployment, [2, 3, 4, 1, 3, 3]);
    stuck.deadline = Some(Duration::from_secs(600));
    stuck.status.deadline_exceeded = Some("ReplicaSet \"web-7d\" has timed out progressing.".to_owned());
    let expected = "failed: no progress within 600 s: ReplicaSet \"web-7d\" has timed out progressing.";
    assert_eq!(said(standing(&stuck)), expected);
    stuck.status.observed = 1;
    assert_eq!(said(standing(&stuck)), "its controller has not seen the change yet");
}

#[test]
fn a_stateful_set_is_complete_when_all_are_ready_and_those_above_its_partition_are_new() {
    for (partition, counts, expected) in [
        (0, [0, 3, 3, 3, 3, 3], "its controller has not seen the change yet"),
        (0, [1, 3, 3, 3, 3, 3], "its controller has not seen the change yet"),
        (0, [2, 3, 3, 1, 2, 2], "2 of 3 pods are ready"),
        (0, [2, 3, 3, 1, 3, 3], "1 of 3 pods are new"),
        (0, [2, 3, 3, 3, 3, 3], "complete"),
        (2, [2, 3, 3, 0, 3, 3], "0 of 1 pods are new"),
        (2, [2, 3, 3, 1, 3, 3], "complete"),
        (7, [2, 3, 3, 0, 3, 3], "complete"),
    ] {
        let mut set = counted(Kind::StatefulSet, counts);
        set.strategy = Strategy::RollingUpdate { partition, limits: String::new() };
        assert_eq!(said(standing(&set)), expected, "{partition} {counts:?}");
    }
    // The controller resets updatedReplicas' basis once the update is the current revision.
    let mut same = counted(Kind::StatefulSet, [2, 3, 3, 0, 3, 3]);
    same.status.revisions = ("web-2".to_owned(), "web-2".to_owned());
    assert_eq!(standing(&same), Standing::Complete);
}

#[test]
fn a_daemon_set_is_complete_when_each_node_has_a_new_pod_that_is_available() {
    for (counts, expected) in [
        ([1, 3, 3, 3, 3, 3], "its controller has not seen the change yet"),
        ([2, 3, 3, 1, 3, 3], "1 of 3 pods are new"),
        ([2, 3, 3, 3, 3, 2], "2 of 3 pods are available"),
        ([2, 3, 3, 3, 3, 3], "complete"),
        ([2, 0, 0, 0, 0, 0], "complete"),
    ] {
        assert_eq!(said(standing(&counted(Kind::DaemonSet, counts))), expected, "{counts:?}");
    }
}

#[test]
fn nobody_works_on_what_is_paused_or_changes_on_deletion() {
    let expected = "by hand: OnDelete: 1 of 3 pods are new, the others change when they are deleted";
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        for (counts, expected) in [
            ([1, 3, 3, 1, 3, 3], "its controller has not seen the change yet"),
            ([2, 3, 3, 1, 3, 3], expected),
            ([2, 3, 3, 3, 3, 3], "complete"),
        ] {
            let mut set = counted(kind, counts);
            set.strategy = Strategy::OnDelete;
            assert_eq!(said(standing(&set)), expected);
        }
    }
    let mut paused = counted(Kind::Deployment, [2, 3, 4, 1, 4, 3]);
    paused.paused = true;
    assert_eq!(said(standing(&paused)), "by hand: paused: 1 of 3 pods are new");
}
