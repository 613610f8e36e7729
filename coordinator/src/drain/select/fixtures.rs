//! Pods for the tests of the drain's pure parts.

use std::collections::BTreeMap;

use super::pods::{Phase, PodFacts};
use crate::drain::report::{Owner, PodRef};

/// A ready pod on w1 with nothing special about it; its UID is its name.
pub(crate) fn pod(name: &str) -> PodFacts {
    PodFacts {
        pod: PodRef { namespace: "web".into(), name: name.into(), uid: name.into() },
        owner: None,
        labels: BTreeMap::new(),
        phase: Phase::Running,
        ready: true,
        ready_changed: None,
        is_mirror: false,
        has_empty_dir: false,
        claims: Vec::new(),
        has_inline_volume: false,
        tolerates_cordon: false,
        deletion: None,
        created: None,
        node: Some("w1".into()),
    }
}

/// A ReplicaSet; its name is its UID.
pub(crate) fn replica_set(uid: &str) -> Owner {
    Owner { api_version: "apps/v1".into(), kind: "ReplicaSet".into(), name: uid.into(), uid: uid.into() }
}
