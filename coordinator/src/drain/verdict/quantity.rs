//! Requests of pods, and the quantities that they are written in.

use k8s_openapi::{
    api::core::v1::{Container, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};

/// What the scheduler reserves for a pod, in thousandths of the unit: its overhead, and the sum over the containers and sidecars,
/// or what is needed while an init container runs beside the sidecars started before it if that is more. A request for the pod
/// as a whole goes before that of its containers (`PodRequests` in k8s.io/component-helpers/resource).
pub(super) fn requested(spec: &PodSpec, what: &str) -> i128 {
    let quantity = |all: Option<&std::collections::BTreeMap<String, Quantity>>| all?.get(what).and_then(thousandths);
    let request = |container: &Container| {
        quantity(container.resources.as_ref().and_then(|resources| resources.requests.as_ref())).unwrap_or(0)
    };
    let mut sidecars = 0;
    let mut first = 0;
    for container in spec.init_containers.iter().flatten() {
        first = first.max(sidecars + request(container));
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars += request(container);
        }
    }
    let together = spec.containers.iter().map(request).sum::<i128>() + sidecars;
    let whole = quantity(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    whole.unwrap_or(together.max(first)) + quantity(spec.overhead.as_ref()).unwrap_or(0)
}

/// A quantity in thousandths of its unit: `250m` is 250, `1Ki` is 1024000. None if it is malformed.
pub(super) fn thousandths(quantity: &Quantity) -> Option<i128> {
    let text = quantity.0.trim();
    let end = text.find(|it: char| !(it.is_ascii_digit() || it == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor: f64 = match unit {
        "" => 1e3,
        "n" => 1e-6,
        "u" => 1e-3,
        "m" => 1.0,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "T" => 1e15,
        "P" => 1e18,
        "Ki" => 1024e3,
        "Mi" => 1_048_576e3,
        "Gi" => 1_073_741_824e3,
        "Ti" => 1_099_511_627_776e3,
        "Pi" => 1_125_899_906_842_624e3,
        _ => 1e3 * 10_f64.powi(unit.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    // Rounded to thousandths, which is finer than any node is.
    Some((number * factor) as i128)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_pod_requests_what_it_needs_at_its_most_demanding_moment() {
        let container = |cpu: &str| json!({"name": "a", "resources": {"requests": {"cpu": cpu}}});
        let sidecar =
            |cpu: &str| json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        let requests = |spec: Value| requested(&serde_json::from_value(spec).unwrap(), "cpu");
        for (spec, expected) in [
            (json!({"containers": [container("1"), container("500m")]}), 1500),
            (json!({"containers": [container("1")], "initContainers": [container("3")]}), 3000),
            (json!({"containers": [container("1")], "initContainers": [sidecar("1"), container("3")]}), 4000),
            (json!({"containers": [container("2")], "initContainers": [container("1"), sidecar("1")]}), 3000),
            (json!({"containers": [container("1")], "overhead": {"cpu": "250m"}}), 1250),
            (json!({"containers": [container("1")], "resources": {"requests": {"cpu": "4"}}}), 4000),
        ] {
            assert_eq!(requests(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("2", Some(2000)),
            ("250m", Some(250)),
            ("0.5", Some(500)),
            ("1Ki", Some(1_024_000)),
            ("1e3", Some(1_000_000)),
            ("x", None),
        ] {
            assert_eq!(thousandths(&Quantity(text.into())), expected, "{text}");
        }
    }
}
