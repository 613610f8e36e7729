//! Which disruption budgets apply to a pod.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::policy::v1::PodDisruptionBudget,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};

use super::pods::{Phase, PodFacts};

/// Whether an eviction of the pod is counted against any budget. Pods that have not started, have ended or are going are
/// deleted without a look at budgets.
pub(super) fn count_for(pod: &PodFacts) -> bool {
    pod.phase == Phase::Running && pod.deletion.is_none()
}

/// Whether the budget is one of the pod's. Without a selector it is nobody's; an empty selector is everybody's.
pub(super) fn applies(budget: &PodDisruptionBudget, pod: &PodFacts) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    budget.metadata.namespace.as_deref() == Some(&pod.pod.namespace)
        && selector.is_some_and(|selector| selects(selector, &pod.labels))
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal && selector.match_expressions.iter().flatten().all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let label = labels.get(&requirement.key);
    let listed = |label: &String| requirement.values.iter().flatten().any(|value| value == label);
    match requirement.operator.as_str() {
        "In" => label.is_some_and(listed),
        "NotIn" => !label.is_some_and(listed),
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        // The server ignores a budget whose selector it cannot read.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select_as_the_server_does() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let expression = |key: &str, operator: &str, values: &[&str]| LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: key.into(),
                operator: operator.into(),
                values: Some(values.iter().map(|value| (*value).into()).collect()),
            }]),
            ..LabelSelector::default()
        };
        let equal = |key: &str, value: &str| LabelSelector {
            match_labels: Some(BTreeMap::from([(key.into(), value.into())])),
            ..LabelSelector::default()
        };
        for (selector, expected) in [
            (LabelSelector::default(), true),
            (equal("app", "web"), true),
            (equal("app", "db"), false),
            (expression("app", "In", &["db", "web"]), true),
            (expression("app", "In", &["db"]), false),
            (expression("tier", "In", &["a"]), false),
            (expression("app", "NotIn", &["web"]), false),
            (expression("tier", "NotIn", &["a"]), true),
            (expression("app", "Exists", &[]), true),
            (expression("tier", "DoesNotExist", &[]), true),
            (expression("app", "Like", &["w*"]), false),
        ] {
            assert_eq!(selects(&selector, &labels), expected, "{selector:?}");
        }
    }
}
