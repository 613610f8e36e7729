//! Taints and tolerations, as the scheduler judges them.

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// The key of the taint that mirrors a cordon.
pub(crate) const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Prefixes of the keys of taints that say how a node is at the moment, such as `node.kubernetes.io/not-ready`. Controllers set them
/// and take them away; all other taints say what a node is for.
const PASSING: [&str; 3] =
    ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "ToBeDeletedByClusterAutoscaler"];

/// Whether the toleration covers the taint.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let any = |wanted: &Option<String>| wanted.as_deref().is_none_or(str::is_empty);
    let value = taint.value.as_deref().unwrap_or_default();
    (any(&toleration.effect) || toleration.effect.as_deref() == Some(&taint.effect))
        && (any(&toleration.key) || toleration.key.as_deref() == Some(&taint.key))
        && (toleration.operator.as_deref() == Some("Exists")
            || toleration.value.as_deref().unwrap_or_default() == value)
}

/// Whether one of the tolerations covers a cordon: the scheduler then takes a cordoned node for an open one.
pub(crate) fn tolerate_a_cordon(tolerations: &[Toleration]) -> bool {
    let cordon = Taint { key: UNSCHEDULABLE.into(), effect: "NoSchedule".into(), ..Taint::default() };
    tolerations.iter().any(|toleration| tolerates(toleration, &cordon))
}

/// Whether the taint passes: it says how its node is now, not what the node is for.
pub(crate) fn is_passing(taint: &Taint) -> bool {
    PASSING.iter().any(|prefix| taint.key.starts_with(prefix))
}
