//! What the site's policy says of a pod.

use usher_core::drain::DrainPolicy;

use super::pods::{Phase, PodFacts};

pub(super) fn skips(policy: &DrainPolicy, pod: &PodFacts) -> bool {
    policy.skip.iter().any(|selector| selector.selects(&pod.labels))
}

pub(super) fn protects(policy: &DrainPolicy, pod: &PodFacts) -> bool {
    policy.protected_namespaces.contains(&pod.pod.namespace)
}

/// Whether the pod is to end by itself first.
pub(super) fn awaits(policy: &DrainPolicy, pod: &PodFacts) -> bool {
    let of_job = pod.owner.as_ref().is_some_and(|owner| owner.kind == "Job" && owner.api_version.starts_with("batch/"));
    (policy.wait_for_jobs && of_job) || policy.wait_for_completion.iter().any(|selector| selector.selects(&pod.labels))
}

/// Whether another one is to be started first, if the pod is a lone replica of a Deployment.
pub(super) fn surges(policy: &DrainPolicy, pod: &PodFacts) -> bool {
    pod.phase != Phase::Finished && policy.surge.iter().any(|selector| selector.selects(&pod.labels))
}

/// The pod's group, from 0.
pub(super) fn group(policy: &DrainPolicy, pod: &PodFacts) -> usize {
    policy.order.iter().position(|selector| selector.selects(&pod.labels)).unwrap_or(policy.order.len())
}
