//! Single requirements on a node's labels, as the scheduler judges them.

use k8s_openapi::api::core::v1::NodeSelectorRequirement;

/// By hand, as kube's `Expression` lacks Gt and Lt.
pub(super) fn meets(requirement: &NodeSelectorRequirement, label: Option<&String>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = |label: &String| values.contains(label);
    let number = |text: &String| text.parse::<i64>().ok();
    let compared = |by: fn(&i64, &i64) -> bool| {
        let (label, value) = (label.and_then(number), values.first().and_then(number));
        label.zip(value).is_some_and(|(label, value)| by(&label, &value))
    };
    match requirement.operator.as_str() {
        "In" => label.is_some_and(listed),
        "NotIn" => !label.is_some_and(listed),
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        "Gt" => compared(i64::gt),
        "Lt" => compared(i64::lt),
        _ => false,
    }
}
