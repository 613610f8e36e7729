//! Disruption budgets over the pods of workloads.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{
    Api, ResourceExt as _,
    api::ListParams,
    core::{Selector, SelectorExt as _},
};

use super::Places;
use crate::cluster::{Cluster, ClusterError, PATIENCE, list};

/// A budget and what it allows at the moment.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) allowed: i32,
    selector: Selector,
}

impl Budget {
    /// Whether it is over pods with these labels. Nothing is selected without a selector, everything by an empty one.
    pub(super) fn covers(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace && self.selector.matches(labels)
    }

    fn of(budget: PodDisruptionBudget) -> Option<Self> {
        let (namespace, name) = (budget.namespace()?, budget.name_any());
        let selector = Selector::try_from(budget.spec?.selector?).ok()?;
        let status = budget.status.filter(|status| status.expected_pods > 0)?;
        Some(Self { namespace, name, allowed: status.disruptions_allowed, selector })
    }
}

/// The budgets that have any pods. Without the right to list them the plan does without.
pub(super) async fn budgets(cluster: &Cluster, places: &Places) -> Result<Vec<Budget>, ClusterError> {
    let api: Api<PodDisruptionBudget> = places.namespaces().api(cluster.client().clone());
    let first = ListParams::default().limit(list::PAGE);
    let listed = list::fold(&api, first, PATIENCE, Vec::new(), |found, budget| found.extend(Budget::of(budget)));
    match listed.await.map_err(|source| cluster.error("list the disruption budgets", source)) {
        Ok((found, _)) => Ok(found),
        Err(error) if error.is_forbidden() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
pub(super) fn budget(name: &str, allowed: i32) -> Budget {
    let selector = Selector::from_iter([("app".to_owned(), name.to_owned())]);
    Budget { namespace: "shop".to_owned(), name: name.to_owned(), allowed, selector }
}
