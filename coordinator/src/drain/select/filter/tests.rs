use std::time::Duration;

use super::*;
use crate::drain::{
    report::Owner,
    select::{fixtures, pods::Deletion},
};

fn pod() -> PodFacts {
    fixtures::pod("a")
}

fn owned(api_version: &str, kind: &str) -> PodFacts {
    let owner = Owner { api_version: api_version.into(), kind: kind.into(), name: "x".into(), uid: "o1".into() };
    PodFacts { owner: Some(owner), ..pod() }
}

fn strict() -> DrainOptions {
    DrainOptions { ignore_daemon_sets: false, ..DrainOptions::default() }
}

fn forced() -> DrainOptions {
    DrainOptions { force: true, ..strict() }
}

fn filtered(pod: &PodFacts, daemon_set: Option<DaemonSet>, options: &DrainOptions) -> Filtered {
    filter(pod, daemon_set.as_ref(), options, Timestamp::from_second(1000).unwrap())
}

const EVICT: Filtered = Filtered::Evict { warning: None };

fn evict_with(warning: &str) -> Filtered {
    Filtered::Evict { warning: Some(warning.into()) }
}

fn refuse(message: &str) -> Filtered {
    let cause = match message {
        _ if message.contains("local storage") => RefusalCause::LocalStorage,
        _ if message.contains("no controller") => RefusalCause::Unmanaged,
        _ if message.contains("DaemonSet-managed") => RefusalCause::DaemonSet,
        _ if message.contains("not found") => RefusalCause::DaemonSetGone,
        _ => RefusalCause::DaemonSetUnknown,
    };
    Filtered::Refuse { message: message.into(), cause }
}

fn gone() -> Option<DaemonSet> {
    Some(DaemonSet::Gone("daemonsets.apps \"x\" not found".into()))
}

#[test]
fn pods_of_daemon_sets() {
    let pod = owned("apps/v1", "DaemonSet");
    let ignoring = DrainOptions::default();
    let stay =
        Filtered::Stay { reason: StayReason::DaemonSet, warning: Some("ignoring DaemonSet-managed Pods".into()) };
    assert_eq!(
        filtered(&pod, Some(DaemonSet::Exists), &strict()),
        refuse("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)")
    );
    assert_eq!(filtered(&pod, Some(DaemonSet::Exists), &ignoring), stay);
    // The chain ends there: an emptyDir of a DaemonSet's pod forbids nothing.
    assert_eq!(filtered(&PodFacts { has_empty_dir: true, ..pod.clone() }, Some(DaemonSet::Exists), &ignoring), stay);

    assert_eq!(filtered(&pod, gone(), &ignoring), refuse("daemonsets.apps \"x\" not found"));
    // kubectl loses this warning, since the filters after it have none.
    assert_eq!(filtered(&pod, gone(), &forced()), EVICT);
    assert_eq!(
        filtered(&PodFacts { has_empty_dir: true, ..pod.clone() }, gone(), &forced()),
        refuse("Pods with local storage (use --delete-emptydir-data to override)")
    );
    let forbidden = Some(DaemonSet::Unknown("daemonsets.apps \"x\" is forbidden".into()));
    assert_eq!(filtered(&pod, forbidden.clone(), &ignoring), refuse("daemonsets.apps \"x\" is forbidden"));
    assert_eq!(filtered(&pod, forbidden, &forced()), refuse("daemonsets.apps \"x\" is forbidden"));

    let finished = PodFacts { phase: Phase::Finished, ..pod };
    assert_eq!(filtered(&finished, Some(DaemonSet::Exists), &strict()), EVICT);
    // Only apps/v1 has the controller that would bring it back.
    assert_eq!(filtered(&owned("example.com/v1", "DaemonSet"), None, &strict()), EVICT);
}

#[test]
fn mirror_pods_stay_without_a_warning() {
    let stay = Filtered::Stay { reason: StayReason::Mirror, warning: None };
    let mirror = PodFacts { is_mirror: true, ..pod() };
    assert_eq!(filtered(&mirror, None, &strict()), stay);
    assert_eq!(filtered(&PodFacts { has_empty_dir: true, ..mirror }, None, &strict()), stay);
}

#[test]
fn local_storage_forbids_unless_its_loss_is_accepted() {
    let pod = PodFacts { has_empty_dir: true, ..owned("apps/v1", "ReplicaSet") };
    let accepting = DrainOptions { delete_empty_dir_data: true, ..strict() };
    assert_eq!(
        filtered(&pod, None, &strict()),
        refuse("Pods with local storage (use --delete-emptydir-data to override)")
    );
    assert_eq!(filtered(&pod, None, &accepting), EVICT);
    assert_eq!(filtered(&PodFacts { phase: Phase::Finished, ..pod }, None, &strict()), EVICT);
}

#[test]
fn a_pod_that_nothing_brings_back_forbids_unless_forced() {
    assert_eq!(filtered(&owned("apps/v1", "ReplicaSet"), None, &strict()), EVICT);
    assert_eq!(filtered(&owned("example.com/v1", "Whatever"), None, &strict()), EVICT);
    assert_eq!(filtered(&pod(), None, &strict()), refuse("Pods that declare no controller (use --force to override)"));
    assert_eq!(filtered(&pod(), None, &forced()), evict_with("deleting Pods that declare no controller"));
    assert_eq!(filtered(&PodFacts { phase: Phase::Finished, ..pod() }, None, &strict()), EVICT);
    // Of two warnings the last one counts.
    let both = DrainOptions { delete_empty_dir_data: true, ..forced() };
    let pod = PodFacts { has_empty_dir: true, ..pod() };
    assert_eq!(filtered(&pod, None, &both), evict_with("deleting Pods that declare no controller"));
}

#[test]
fn a_pod_long_deleted_is_skipped_only_if_asked_and_only_after_its_grace() {
    let deleted = |due| {
        let due = Timestamp::from_second(due).unwrap();
        PodFacts { deletion: Some(Deletion { requested: due, due }), ..owned("apps/v1", "ReplicaSet") }
    };
    let skip = DrainOptions { skip_wait_for_delete: Some(Duration::from_secs(60)), ..strict() };
    let skipped = Filtered::Stay { reason: StayReason::LongDeleted, warning: None };
    for (due, options, expected) in [
        (939, &skip, &skipped),
        (940, &skip, &EVICT),
        (1030, &skip, &EVICT),
        (1, &strict(), &EVICT),
        (1, &DrainOptions { skip_wait_for_delete: Some(Duration::ZERO), ..strict() }, &EVICT),
    ] {
        assert_eq!(&filtered(&deleted(due), None, options), expected, "{due}");
    }
}
