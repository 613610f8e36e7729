//! What will become of each pod of a node: kubectl's filters, the budgets, the place of its successor, put together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::Client;

use super::{
    BudgetPreview, DrainError, DrainOptions, DrainPreview, Outlook, PodOutlook, RefusedPod, StayingPod, budgets,
    classify::{Verdict, grouped, verdict},
    daemon_sets::DaemonSets,
    fit::{Wish, homeless},
    list::{self, PATIENCE},
    outlook::{Room, forbidden, replaced_first},
    pods::{Phase, PodFacts},
    surge::{self, Fitness},
    survey::Survey,
};
use crate::cluster::retry::error_message;

/// A look at one node.
pub(super) struct Look<'a> {
    pub(super) client: &'a Client,
    pub(super) node: &'a str,
    pub(super) options: &'a DrainOptions,
    pub(super) survey: &'a Survey,
    pub(super) daemon_sets: &'a DaemonSets,
}

impl Look<'_> {
    /// `read` are the node's pods, if they have been read just now.
    pub(super) async fn preview(&self, read: Option<Vec<(PodFacts, Wish)>>) -> Result<DrainPreview, DrainError> {
        let Self { client, node, options, survey, .. } = *self;
        let mut pods = match read {
            Some(pods) => self.selected(pods),
            None => {
                let facts = |pod: &_| (PodFacts::of(pod), Wish::of(pod));
                let listed = list::of_node(client, node, options, PATIENCE, facts).await;
                let (pods, _) =
                    listed.map_err(|error| DrainError::before_anything(format!("list the pods on {node}"), &error))?;
                pods
            }
        };
        pods.sort_by(|(a, _), (b, _)| a.pod.cmp(&b.pod));

        let mut room = Room::of(if options.disable_eviction { &[] } else { &survey.budgets }, Timestamp::now());
        let mut preview = DrainPreview { node: node.to_owned(), ..DrainPreview::default() };
        let (mut evicted, mut warned) = (Vec::new(), Vec::new());
        for (facts, wish) in pods {
            let daemon_set = self.daemon_sets.of(client, &facts).await;
            let pod = facts.pod.clone();
            let (outlook, cautions) = match verdict(&facts, daemon_set.as_ref(), options, Timestamp::now()) {
                Verdict::Evict { warning } => {
                    warned.extend(warning.map(|warning| (pod.clone(), warning)));
                    let told = self.of_evicted(&facts, &wish, &mut room).await;
                    evicted.push(facts);
                    told
                }
                Verdict::Stay { reason, warning } => {
                    warned.extend(warning.map(|warning| (pod.clone(), warning)));
                    preview.stay.push(StayingPod { pod: pod.clone(), reason });
                    (Outlook::Stay { reason }, Vec::new())
                }
                Verdict::Refuse { message, cause } => {
                    let outlook = forbidden(cause, &message);
                    preview.refused.push(RefusedPod { pod: pod.clone(), message });
                    (outlook, Vec::new())
                }
            };
            preview.pods.push(PodOutlook { pod, outlook, cautions });
        }
        preview.warnings = grouped(warned.iter().map(|(pod, warning)| (pod, warning.as_str())));
        preview.evict = evicted.iter().map(|facts| facts.pod.clone()).collect();
        preview.budgets = budgets_of(survey, &evicted);
        Ok(preview)
    }

    /// As the server selects: the operator may want only some pods drained.
    fn selected(&self, mut pods: Vec<(PodFacts, Wish)>) -> Vec<(PodFacts, Wish)> {
        if let Some(selector) = &self.options.pod_selector {
            pods.retain(|(pod, _)| selector.selects(&pod.labels));
        }
        pods
    }

    /// What will become of a pod that no filter keeps, and what to know about it.
    async fn of_evicted(&self, facts: &PodFacts, wish: &Wish, room: &mut Room<'_>) -> (Outlook, Vec<String>) {
        // Nobody looks for a place for a pod without a controller.
        let offers = self.survey.offers.as_ref().filter(|_| facts.owner.is_some());
        let homeless = offers.and_then(|offers| homeless(wish, offers, self.node, &self.options.closed));
        let is_lone = self.survey.is_lone(facts);
        let mut cautions = Vec::new();
        let outlook = if self.options.policy.awaits(facts) && facts.phase != Phase::Finished {
            Outlook::Finish
        } else {
            match self.replacement(facts, is_lone).await {
                Some(Fitness::Fit { deployment } | Fitness::UnderWay { deployment }) => {
                    replaced_first(deployment, homeless.as_deref())
                }
                unfit => {
                    if is_lone {
                        cautions.push("a lone replica, away until another one is ready".to_owned());
                    }
                    if let Some(Fitness::Unfit { why }) = unfit {
                        cautions.push(format!("cannot be replaced first: {why}"));
                    }
                    room.outlook(facts, homeless.as_deref())
                }
            }
        };
        cautions.extend(homeless);
        (outlook, cautions)
    }

    /// Whether another one can be started in its place first, if the site wants that.
    async fn replacement(&self, facts: &PodFacts, is_lone: bool) -> Option<Fitness> {
        let owner = facts.owner.as_ref().filter(|_| is_lone && self.options.policy.surges(facts))?;
        let fitness = surge::fitness(self.client, &facts.pod.namespace, owner).await;
        Some(fitness.unwrap_or_else(|error| Fitness::Unfit { why: error_message(&error) }))
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
