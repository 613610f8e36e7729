//! What the site's policy says of a pod.

use usher_core::drain::{DrainPolicy, PodSelector};

use super::pods::{Phase, PodFacts};

pub(super) fn skips(policy: &DrainPolicy, pod: &PodFacts) -> bool {
    any_selects(&policy.skip, pod)
}

pub(super) fn protects(policy: &DrainPolicy, pod: &PodFacts) -> bool {
    policy.protected_namespaces.contains(&pod.pod.namespace)
}

/// Whether the pod must end by itself before it is evicted.
pub(crate) fn awaits_completion(policy: &DrainPolicy, pod: &PodFacts) -> bool {
    let of_job = pod.owner.as_ref().is_some_and(|owner| owner.kind == "Job" && owner.api_version.starts_with("batch/"));
    (policy.wait_for_jobs && of_job) || any_selects(&policy.wait_for_completion, pod)
}

/// Whether another pod is started first, if this one is a lone replica of a Deployment.
pub(crate) fn surges(policy: &DrainPolicy, pod: &PodFacts) -> bool {
    pod.phase != Phase::Finished && any_selects(&policy.surge, pod)
}

/// The pod's group, from 0: the first whose selector matches, else the last.
pub(crate) fn group(policy: &DrainPolicy, pod: &PodFacts) -> usize {
    policy.order.iter().position(|selector| selector.selects(&pod.labels)).unwrap_or(policy.order.len())
}

fn any_selects(selectors: &[PodSelector], pod: &PodFacts) -> bool {
    selectors.iter().any(|selector| selector.selects(&pod.labels))
}
