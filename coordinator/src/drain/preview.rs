//! What a drain would do, without doing it: for plans.

use std::collections::BTreeMap;

use futures::future;
use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Api, Client, api::ListParams};
use serde::Serialize;

use super::{
    DrainError, DrainOptions, PodRef, RefusedPod, StayingPod, budgets,
    classify::{Verdict, grouped, verdict},
    daemon_sets::DaemonSets,
    pods::PodFacts,
    run::list,
};

/// What a drain would do, as things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainPreview {
    /// Pods that would be evicted.
    pub evict: Vec<PodRef>,
    /// Of those, pods that would have to wait for a budget at first.
    pub wait: usize,
    /// Pods that would be left alone.
    pub stay: Vec<StayingPod>,
    /// Pods that forbid the drain. If there are any, nothing would be evicted.
    pub refused: Vec<RefusedPod>,
    /// The budgets of the pods that would be evicted, by namespace and name.
    pub budgets: Vec<BudgetPreview>,
    /// What would be let pass, in kubectl's words.
    pub warnings: Vec<String>,
}

/// A budget, and what it would mean for the drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetPreview {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Pods on this node that count for it.
    pub pods: usize,
    /// How many of all its pods may be disrupted now.
    pub allowed: i32,
    /// How many of its pods are healthy now.
    pub healthy: i32,
    /// How many must be.
    pub desired: i32,
    /// How many there are to be in all.
    pub expected: i32,
}

/// Looks at the node's pods and their budgets.
///
/// # Errors
///
/// [`DrainError::Api`] if the API does not answer or refuses. Whoever may not list budgets gets a preview without them.
pub async fn preview(client: &Client, node: &str, options: &DrainOptions) -> Result<DrainPreview, DrainError> {
    let pods = list(client, node, options).await;
    let mut pods = pods.map_err(|error| DrainError::before_anything(format!("list the pods on {node}"), &error))?;
    pods.sort_by(|a, b| a.pod.cmp(&b.pod));

    let mut daemon_sets = DaemonSets::default();
    let mut preview = DrainPreview::default();
    let (mut evicted, mut warned) = (Vec::new(), Vec::new());
    for facts in pods {
        let daemon_set = daemon_sets.of(client, &facts).await;
        let pod = facts.pod.clone();
        match verdict(&facts, daemon_set.as_ref(), options, Timestamp::now()) {
            Verdict::Evict { warning } => {
                warned.extend(warning.map(|warning| (pod, warning)));
                evicted.push(facts);
            }
            Verdict::Stay { reason, warning } => {
                warned.extend(warning.map(|warning| (pod.clone(), warning)));
                preview.stay.push(StayingPod { pod, reason });
            }
            Verdict::Refuse { message } => preview.refused.push(RefusedPod { pod, message }),
        }
    }
    preview.warnings = grouped(warned.iter().map(|(pod, warning)| (pod, warning.as_str())));
    preview.evict = evicted.iter().map(|facts| facts.pod.clone()).collect();
    preview.budgets = budgets_of(client, &evicted).await?;
    preview.wait = preview.budgets.iter().map(waiting).sum();
    Ok(preview)
}

/// How many of a budget's pods on the node would have to wait until others are healthy elsewhere.
fn waiting(budget: &BudgetPreview) -> usize {
    budget.pods.saturating_sub(usize::try_from(budget.allowed).unwrap_or(0))
}

async fn budgets_of(client: &Client, pods: &[PodFacts]) -> Result<Vec<BudgetPreview>, DrainError> {
    let counted: Vec<_> = pods.iter().filter(|pod| budgets::count_for(pod)).collect();
    let mut namespaces: Vec<_> = counted.iter().map(|pod| pod.pod.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let lists = namespaces.into_iter().map(|namespace| async move {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
        match budgets.list(&ListParams::default()).await {
            Ok(list) => Ok(list.items),
            Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Vec::new()),
            Err(error) => {
                Err(DrainError::before_anything(format!("list the disruption budgets in {namespace}"), &error))
            }
        }
    });
    let mut found = BTreeMap::new();
    for budget in future::try_join_all(lists).await?.into_iter().flatten() {
        let pods = counted.iter().filter(|pod| budgets::applies(&budget, pod)).count();
        if pods > 0 {
            let status = budget.status.unwrap_or_default();
            let namespace = budget.metadata.namespace.unwrap_or_default();
            let name = budget.metadata.name.unwrap_or_default();
            let preview = BudgetPreview {
                namespace: namespace.clone(),
                name: name.clone(),
                pods,
                allowed: status.disruptions_allowed,
                healthy: status.current_healthy,
                desired: status.desired_healthy,
                expected: status.expected_pods,
            };
            found.insert((namespace, name), preview);
        }
    }
    Ok(found.into_values().collect())
}
