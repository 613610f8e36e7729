//! The verdicts on the pods of nodes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::Client;
use usher_core::drain::DrainOptions;

use super::{
    attachments::Attachments,
    budget_ledger::{BudgetLedger, comes_back, refused, replaced_first},
    budgets,
    fit::PodRequirements,
    homes::Homes,
    survey::Survey,
    volumes::Volumes,
};
use crate::{
    cluster::retry::error_message,
    drain::{
        evict::surge::{self, Surge},
        report::{BudgetPreview, DrainPreview, PodVerdict, RefusedPod, StayingPod, UnusedVolume, Verdict, grouped},
        select::{self, DaemonSets, Filtered, Phase, PodFacts, REQUEST_LIMIT, filter},
    },
};

/// The pods of a node, and what each requires of one.
pub(crate) type NodePods = Vec<(PodFacts, PodRequirements)>;

/// What verdicts depend on, for any number of nodes.
pub(crate) struct Assessment<'a> {
    client: &'a Client,
    options: &'a DrainOptions,
    survey: &'a Survey,
    homes: Homes<'a>,
    volumes: &'a Volumes,
    /// None if nobody wants to know, or may know.
    attachments: Option<&'a Attachments>,
    daemon_sets: &'a DaemonSets,
    /// By the server's clock.
    now: Timestamp,
}

impl<'a> Assessment<'a> {
    pub(crate) fn new(
        (client, options): (&'a Client, &'a DrainOptions),
        survey: &'a Survey,
        volumes: &'a Volumes,
        attachments: Option<&'a Attachments>,
        daemon_sets: &'a DaemonSets,
        now: Timestamp,
    ) -> Self {
        let homes = Homes::among(survey.cluster.capacities.as_deref(), &options.closed, volumes);
        Self { client, options, survey, homes, volumes, attachments, daemon_sets, now }
    }

    /// `pods` are all pods of the node, or those that the operator's selector matches.
    pub(crate) async fn preview(&self, node: &str, mut pods: NodePods) -> DrainPreview {
        let Self { client, options, survey, now, .. } = *self;
        let unused_volumes = self.unused_volumes(node, &pods);
        if let Some(selector) = &options.pod_selector {
            pods.retain(|(pod, _)| selector.selects(&pod.labels));
        }
        pods.sort_by(|(a, _), (b, _)| a.pod.cmp(&b.pod));

        let mut budgets = BudgetLedger::of(if options.disable_eviction { &[] } else { &survey.budgets }, now);
        let mut preview = DrainPreview { node: node.to_owned(), unused_volumes, ..DrainPreview::default() };
        let (mut evicted, mut warnings) = (Vec::new(), Vec::new());
        for (facts, requirements) in pods {
            let daemon_set = self.daemon_sets.of(client, &facts, REQUEST_LIMIT).await;
            let pod = facts.pod.clone();
            let (verdict, cautions) = match filter(&facts, daemon_set.as_ref(), options, now) {
                Filtered::Evict { warning } => {
                    warnings.extend(warning.map(|warning| (pod.clone(), warning)));
                    let verdict = self.of_evicted(node, &facts, &requirements, &mut budgets).await;
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
        preview
    }

    /// What is attached to the node and used by none of its pods. Without all of its pods nobody can tell.
    fn unused_volumes(&self, node: &str, pods: &[(PodFacts, PodRequirements)]) -> Vec<UnusedVolume> {
        let Some(attachments) = self.attachments.filter(|_| self.options.pod_selector.is_none()) else {
            return Vec::new();
        };
        let claims: Vec<_> = pods.iter().flat_map(|(pod, _)| pod.claimed()).collect();
        let used = self.volumes.behind(&claims);
        // A claim whose volume is not known could be any of them.
        if used.len() < claims.iter().collect::<BTreeSet<_>>().len() {
            return Vec::new();
        }
        attachments.unused(node, &used)
    }

    /// The verdict on a pod that no filter keeps, and cautions about it.
    async fn of_evicted(
        &self,
        node: &str,
        facts: &PodFacts,
        requirements: &PodRequirements,
        budgets: &mut BudgetLedger<'_>,
    ) -> (Verdict, Vec<String>) {
        if select::awaits_completion(&self.options.policy, facts) && facts.phase != Phase::Finished {
            return (Verdict::Finish, Vec::new());
        }
        // A pod without a controller has no successor.
        let has_successor = facts.owner.is_some() && facts.phase != Phase::Finished;
        let homeless = has_successor.then(|| self.homes.homeless(facts, requirements, node)).flatten();
        let mut cautions = Vec::new();
        if has_successor && self.homes.may_come_back(facts, requirements, node) {
            if homeless.is_some() {
                return (comes_back(facts, node), cautions);
            }
            cautions.push(format!("may come back to {node}: it tolerates the cordon"));
        }
        let is_lone = self.survey.is_lone(facts);
        let verdict = match self.surge(facts, is_lone).await {
            Some(Surge::Possible { deployment } | Surge::InProgress { deployment }) => {
                replaced_first(deployment, homeless.as_ref())
            }
            no_surge => {
                if is_lone {
                    cautions.push("a lone replica, away until another one is ready".to_owned());
                }
                if let Some(Surge::Impossible { reason }) = no_surge {
                    cautions.push(format!("cannot be replaced first: {reason}"));
                }
                budgets.verdict(facts, homeless.as_ref())
            }
        };
        cautions.extend(homeless.map(|homeless| homeless.why));
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
    for budget in survey.budgets.iter() {
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
