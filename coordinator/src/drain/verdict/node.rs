//! The verdicts on the pods of one node.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::Client;
use usher_core::drain::DrainOptions;

use super::{
    budget_ledger::{BudgetLedger, refused, replaced_first},
    budgets,
    fit::{PodRequirements, unschedulable},
    survey::Survey,
};
use crate::{
    cluster::retry::error_message,
    drain::{
        evict::surge::{self, Surge},
        report::{BudgetPreview, DrainError, DrainPreview, PodVerdict, RefusedPod, StayingPod, Verdict, grouped},
        select::{self, DaemonSets, Filtered, Phase, PodFacts, REQUEST_LIMIT, filter},
    },
};

/// What the verdicts on one node depend on.
pub(crate) struct NodeAssessment<'a> {
    pub(crate) client: &'a Client,
    pub(crate) node: &'a str,
    pub(crate) options: &'a DrainOptions,
    pub(crate) survey: &'a Survey,
    pub(crate) daemon_sets: &'a DaemonSets,
    /// By the server's clock.
    pub(crate) now: Timestamp,
}

impl NodeAssessment<'_> {
    /// `pods` are the node's, if they were read just now.
    pub(crate) async fn preview(
        &self,
        pods: Option<Vec<(PodFacts, PodRequirements)>>,
    ) -> Result<DrainPreview, DrainError> {
        let Self { client, node, options, survey, now, .. } = *self;
        let mut pods = match pods {
            Some(pods) => self.selected(pods),
            None => {
                let facts = |pod: &_| (PodFacts::of(pod), PodRequirements::of(pod));
                let listed = select::of_node(client, node, options, REQUEST_LIMIT, facts).await;
                let (pods, _) =
                    listed.map_err(|error| DrainError::before_anything(format!("list the pods on {node}"), &error))?;
                pods
            }
        };
        pods.sort_by(|(a, _), (b, _)| a.pod.cmp(&b.pod));

        let mut budgets = BudgetLedger::of(if options.disable_eviction { &[] } else { &survey.budgets }, now);
        let mut preview = DrainPreview { node: node.to_owned(), ..DrainPreview::default() };
        let (mut evicted, mut warnings) = (Vec::new(), Vec::new());
        for (facts, requirements) in pods {
            let daemon_set = self.daemon_sets.of(client, &facts).await;
            let pod = facts.pod.clone();
            let (verdict, cautions) = match filter(&facts, daemon_set.as_ref(), options, now) {
                Filtered::Evict { warning } => {
                    warnings.extend(warning.map(|warning| (pod.clone(), warning)));
                    let verdict = self.of_evicted(&facts, &requirements, &mut budgets).await;
                    evicted.push(facts);
                    verdict
                }
                Filtered::Stay { reason, warning } => {
                    warnings.extend(warning.map(|warning| (pod.clone(), warning)));
                    preview.stay.push(StayingPod { pod: pod.clone(), reason });
                    (Verdict::Stay { reason }, Vec::new())
                }
                Filtered::Refuse { message, cause } => {
                    let verdict = refused(cause, &message);
                    preview.refused.push(RefusedPod { pod: pod.clone(), message });
                    (verdict, Vec::new())
                }
            };
            preview.pods.push(PodVerdict { pod, verdict, cautions });
        }
        preview.warnings = grouped(warnings.iter().map(|(pod, warning)| (pod, warning.as_str())));
        preview.evict = evicted.iter().map(|facts| facts.pod.clone()).collect();
        preview.budgets = budgets_of(survey, &evicted);
        Ok(preview)
    }

    /// The pods that the operator's selector matches, as the server would select them.
    fn selected(&self, mut pods: Vec<(PodFacts, PodRequirements)>) -> Vec<(PodFacts, PodRequirements)> {
        if let Some(selector) = &self.options.pod_selector {
            pods.retain(|(pod, _)| selector.selects(&pod.labels));
        }
        pods
    }

    /// The verdict on a pod that no filter keeps, and cautions about it.
    async fn of_evicted(
        &self,
        facts: &PodFacts,
        requirements: &PodRequirements,
        budgets: &mut BudgetLedger<'_>,
    ) -> (Verdict, Vec<String>) {
        // A pod without a controller has no successor.
        let capacities = self.survey.capacities.as_ref().filter(|_| facts.owner.is_some());
        let unschedulable =
            capacities.and_then(|capacities| unschedulable(requirements, capacities, self.node, &self.options.closed));
        let is_lone = self.survey.is_lone(facts);
        let mut cautions = Vec::new();
        let verdict = if select::awaits_completion(&self.options.policy, facts) && facts.phase != Phase::Finished {
            Verdict::Finish
        } else {
            match self.surge(facts, is_lone).await {
                Some(Surge::Possible { deployment } | Surge::InProgress { deployment }) => {
                    replaced_first(deployment, unschedulable.as_deref())
                }
                no_surge => {
                    if is_lone {
                        cautions.push("a lone replica, away until another one is ready".to_owned());
                    }
                    if let Some(Surge::Impossible { reason }) = no_surge {
                        cautions.push(format!("cannot be replaced first: {reason}"));
                    }
                    budgets.verdict(facts, unschedulable.as_deref())
                }
            }
        };
        cautions.extend(unschedulable);
        (verdict, cautions)
    }

    /// Whether its Deployment could start another pod first; None if the site does not want that.
    async fn surge(&self, facts: &PodFacts, is_lone: bool) -> Option<Surge> {
        let owner = facts.owner.as_ref().filter(|_| is_lone && select::surges(&self.options.policy, facts))?;
        let surge = surge::check(self.client, &facts.pod.namespace, owner).await;
        Some(surge.unwrap_or_else(|error| Surge::Impossible { reason: error_message(&error) }))
    }
}

fn budgets_of(survey: &Survey, pods: &[PodFacts]) -> Vec<BudgetPreview> {
    let counted: Vec<_> = pods.iter().filter(|pod| budgets::count_for(pod)).collect();
    let mut found = BTreeMap::new();
    for budget in &survey.budgets {
        let pods = counted.iter().filter(|pod| budgets::applies(budget, pod)).count();
        if pods > 0 {
            let status = budget.status.clone().unwrap_or_default();
            let namespace = budget.metadata.namespace.clone().unwrap_or_default();
            let name = budget.metadata.name.clone().unwrap_or_default();
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
    found.into_values().collect()
}
