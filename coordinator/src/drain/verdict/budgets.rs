//! Which disruption budgets apply to a pod.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{Selector, SelectorExt as _};

use crate::drain::select::{Phase, PodFacts};

/// Whether budgets count an eviction of the pod. Pods that have not started, have ended or are terminating are deleted without
/// regard to budgets.
pub(super) fn count_for(pod: &PodFacts) -> bool {
    pod.phase == Phase::Running && pod.deletion.is_none()
}

/// Whether the budget covers the pod. Without a selector it covers none; an empty selector covers all of its namespace. The
/// server ignores a budget whose selector it cannot read.
pub(super) fn applies(budget: &PodDisruptionBudget, pod: &PodFacts) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    budget.metadata.namespace.as_deref() == Some(&pod.pod.namespace)
        && selector
            .and_then(|selector| Selector::try_from(selector).ok())
            .is_some_and(|selector| selector.matches(&pod.labels))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::drain::select::pod;

    #[test]
    fn budgets_apply_to_the_pods_that_the_server_counts_for_them() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let pod = PodFacts { labels, ..pod("a") };
        let budget = |namespace: &str, selector: Value| -> PodDisruptionBudget {
            serde_json::from_value(json!({"metadata": {"namespace": namespace}, "spec": {"selector": selector}}))
                .unwrap()
        };
        let equal = |key: &str, value: &str| json!({"matchLabels": {key: value}});
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, expected) in [
            (Value::Null, false),
            (json!({}), true),
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
            assert_eq!(applies(&budget("web", selector.clone()), &pod), expected, "{selector}");
            assert!(!applies(&budget("other", selector), &pod));
        }
    }
}
