//! What a drain would do, without doing it: for plans.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use serde::Serialize;

use super::{
    DrainError, DrainOptions, Drainer, Outlook, PodOutlook, PodRef, RefusedPod, StayingPod, budgets,
    classify::{Verdict, grouped, verdict},
    daemon_sets::DaemonSets,
    evict::{Manner, Outcome, evict},
    fit::{Wish, homeless},
    list::list,
    outlook::{Room, forbidden, replaced_first},
    patience::words,
    pods::{Phase, PodFacts},
    surge::{self, Fitness},
    survey::Survey,
};

/// How many dry runs are in flight for a node: they cost the server less than evictions.
const DRY_RUNS: usize = 8;

/// How many nodes are looked at together.
const NODES: usize = 4;

/// What a drain would do, as things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainPreview {
    /// The node.
    pub node: String,
    /// What will become of each pod.
    pub pods: Vec<PodOutlook>,
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

/// Which verdicts the server is asked to confirm, by dry runs of evictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// None.
    Nothing,
    /// Those that would keep the drain from beginning.
    Never,
    /// All.
    Everything,
}

impl Drainer<'_> {
    /// Looks at the nodes' pods, their budgets, and where their successors could run. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`DrainError::Api`] if the API does not answer or refuses. Whoever may not list budgets, nodes or pods of the whole
    /// cluster gets verdicts without what these say.
    pub async fn previews(
        &self,
        nodes: &[String],
        options: &DrainOptions,
        confirm: Confirm,
    ) -> Result<Vec<DrainPreview>, DrainError> {
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let survey = self.surveys.latest(&self.client).await?;
        let previews = nodes.iter().map(|node| of_node(&self.client, node, options, &survey, confirm));
        stream::iter(previews).buffered(NODES).try_collect().await
    }

    /// Whether a drain of the node may begin: no pod stands against it for good, or only such that the operator does not mind.
    ///
    /// # Errors
    ///
    /// [`DrainError::Never`] names the pods and what would let them go; [`DrainError::Api`] as [`Self::previews`].
    pub async fn check(&self, node: &str, options: &DrainOptions) -> Result<(), DrainError> {
        let survey = self.surveys.latest(&self.client).await?;
        let preview = of_node(&self.client, node, options, &survey, Confirm::Never).await?;
        let pods: Vec<_> = preview.against(options).cloned().collect();
        match pods.is_empty() {
            true => Ok(()),
            false => Err(DrainError::Never { node: node.to_owned(), pods, remains: Box::default() }),
        }
    }
}

async fn of_node(
    client: &Client,
    node: &str,
    options: &DrainOptions,
    survey: &Survey,
    confirm: Confirm,
) -> Result<DrainPreview, DrainError> {
    let pods = list(client, node, options, |pod| (PodFacts::of(pod), Wish::of(pod))).await;
    let mut pods = pods.map_err(|error| DrainError::before_anything(format!("list the pods on {node}"), &error))?;
    pods.sort_by(|(a, _), (b, _)| a.pod.cmp(&b.pod));

    let mut daemon_sets = DaemonSets::default();
    let mut room = Room::of(if options.disable_eviction { &[] } else { &survey.budgets }, Timestamp::now());
    let mut preview = DrainPreview { node: node.to_owned(), ..DrainPreview::default() };
    let (mut evicted, mut warned) = (Vec::new(), Vec::new());
    for (facts, wish) in pods {
        let daemon_set = daemon_sets.of(client, &facts).await;
        let pod = facts.pod.clone();
        let mut cautions = Vec::new();
        let outlook = match verdict(&facts, daemon_set.as_ref(), options, Timestamp::now()) {
            Verdict::Evict { warning } => {
                warned.extend(warning.map(|warning| (pod.clone(), warning)));
                let offers = survey.offers.as_ref().filter(|_| facts.owner.is_some());
                let homeless = offers.and_then(|offers| homeless(&wish, offers, node));
                let is_lone = survey.is_lone(&facts);
                let replaced = match &facts.owner {
                    Some(owner) if is_lone && options.policy.surges(&facts) => {
                        let fitness = surge::fitness(client, &facts.pod.namespace, owner).await;
                        fitness.unwrap_or_else(|error| Fitness::Unfit { why: words(&error) })
                    }
                    _ => Fitness::Unfit { why: String::new() },
                };
                let outlook = match replaced {
                    _ if options.policy.awaits(&facts) && facts.phase != Phase::Finished => Outlook::Finish,
                    Fitness::Fit { deployment } | Fitness::UnderWay { deployment } => {
                        replaced_first(deployment, homeless.as_deref())
                    }
                    Fitness::Unfit { why } => {
                        let lone = is_lone.then(|| "a lone replica, away until another one is ready".to_owned());
                        cautions.extend(lone);
                        cautions.extend((!why.is_empty()).then(|| format!("cannot be replaced first: {why}")));
                        room.outlook(&facts, homeless.as_deref())
                    }
                };
                cautions.extend(homeless);
                evicted.push(facts);
                outlook
            }
            Verdict::Stay { reason, warning } => {
                warned.extend(warning.map(|warning| (pod.clone(), warning)));
                preview.stay.push(StayingPod { pod: pod.clone(), reason });
                Outlook::Stay { reason }
            }
            Verdict::Refuse { message, cause } => {
                let outlook = forbidden(cause, &message);
                preview.refused.push(RefusedPod { pod: pod.clone(), message });
                outlook
            }
        };
        preview.pods.push(PodOutlook { pod, outlook, cautions });
    }
    preview.warnings = grouped(warned.iter().map(|(pod, warning)| (pod, warning.as_str())));
    preview.evict = evicted.iter().map(|facts| facts.pod.clone()).collect();
    preview.budgets = budgets_of(survey, &evicted);
    preview.confirm(client, options, confirm).await;
    preview.wait = preview.pods.iter().filter(|pod| matches!(pod.outlook, Outlook::Wait { .. })).count();
    Ok(preview)
}

impl DrainPreview {
    /// The pods that keep a drain from beginning. What kubectl's filters refuse does so whatever the operator thinks of the
    /// other verdicts: those have flags of their own.
    pub fn against(&self, options: &DrainOptions) -> impl Iterator<Item = &PodOutlook> {
        let counts = |pod: &&PodOutlook| !options.ignore_verdicts || !self.evict.contains(&pod.pod);
        self.never().filter(counts)
    }

    /// The pods that can never go as things stand.
    pub fn never(&self) -> impl Iterator<Item = &PodOutlook> {
        self.pods.iter().filter(|pod| matches!(pod.outlook, Outlook::Never { .. }))
    }

    /// Asks the server, which knows best and may know more, what it would answer.
    async fn confirm(&mut self, client: &Client, options: &DrainOptions, confirm: Confirm) {
        let manner = Manner { dry_run: true, ..options.manner() };
        let asked = self.pods.iter_mut().filter(|pod| {
            let wanted = match confirm {
                Confirm::Nothing => false,
                Confirm::Never => matches!(pod.outlook, Outlook::Never { .. }),
                Confirm::Everything => true,
            };
            wanted && pod.outlook.is_eviction() && self.evict.contains(&pod.pod)
        });
        let answers = stream::iter(asked).map(async |pod| {
            let answer = evict(client, &pod.pod, manner).await;
            settle(pod, answer);
        });
        answers.buffer_unordered(DRY_RUNS).collect::<()>().await;
    }
}

/// What the server's answer to a dry run means for a verdict.
fn settle(pod: &mut PodOutlook, answer: Outcome) {
    match answer {
        // The room of a budget is counted once for each dry run, so that "yes" does not unsay that others go first.
        Outcome::Accepted | Outcome::Gone => {
            if matches!(pod.outlook, Outlook::Never { .. }) {
                pod.outlook = Outlook::Now;
            }
        }
        Outcome::Failed { message } if !matches!(pod.outlook, Outlook::Never { .. }) => {
            let unblock = "see what the server says of it: kubectl describe".to_owned();
            pod.outlook = Outlook::Never { because: message, unblock };
        }
        Outcome::Blocked { message, .. } if pod.outlook == Outlook::Now => pod.cautions.push(message),
        _ => {}
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
