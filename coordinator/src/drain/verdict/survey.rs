//! What verdicts need to know of the whole cluster: budgets, replicas, and what nodes still offer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::{
    core::v1::{Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use super::fit::{NodeCapacity, PodRequirements};
use crate::drain::{
    report::DrainError,
    select::{PAGE, Phase, PodFacts, fold, if_allowed},
};

/// From this number of namespaces on, the budgets of all are listed at once.
const FEW_NAMESPACES: usize = 5;

/// By the node's name.
pub(super) type Capacities = BTreeMap<String, NodeCapacity>;

/// The pods of some nodes, by the node's name.
pub(crate) type PodsByNode = HashMap<String, Vec<(PodFacts, PodRequirements)>>;

/// The cluster, as far as the drain of a node depends on it. What may not be listed is missing from the verdicts. Clones share what is
/// large.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    pub(super) budgets: Arc<Vec<PodDisruptionBudget>>,
    pub(super) cluster: Arc<Cluster>,
}

/// The part of a survey that takes a list of all pods.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) capacities: Option<Vec<NodeCapacity>>,
    /// How many pods of each controller run or will run, by its UID.
    replicas: HashMap<String, usize>,
}

impl Survey {
    /// `capacities` are those of the nodes without their pods, if they were read just now. With it the pods of `nodes`.
    pub(super) async fn read(
        client: &Client,
        nodes: &[String],
        capacities: Option<Capacities>,
    ) -> Result<(Self, Option<PodsByNode>), DrainError> {
        let page = ListParams::default().limit(PAGE);
        let budgets = budgets(client, None).await?;
        let capacities = match capacities {
            Some(capacities) => Some(capacities),
            None => {
                let add = |capacities: &mut Capacities, node: Node| {
                    capacities.insert(node.name_any(), NodeCapacity::of(&node));
                };
                if_allowed("nodes", fold(Api::all(client.clone()), page.clone(), Capacities::new(), add).await)?
            }
        };
        let knows_nodes = capacities.is_some();
        let pods_of = nodes.iter().map(|node| (node.clone(), Vec::new())).collect();
        let no_pods = PodTally { pods_of, capacities: capacities.unwrap_or_default(), replicas: HashMap::new() };
        let tally = fold(Api::all(client.clone()), page, no_pods.clone(), PodTally::add).await;
        let tally = if_allowed("pods", tally)?;
        let knows_pods = tally.is_some();
        let PodTally { pods_of, capacities, replicas } = tally.unwrap_or(no_pods);
        let capacities = knows_nodes.then(|| capacities.into_values().collect());
        let survey = Self { budgets: Arc::new(budgets), cluster: Arc::new(Cluster { capacities, replicas }) };
        Ok((survey, knows_pods.then_some(pods_of)))
    }

    /// The same with the budgets of these namespaces as they are now, and of no others if the namespaces are few.
    pub(super) async fn with_budgets_of(
        self,
        client: &Client,
        namespaces: &BTreeSet<String>,
    ) -> Result<Self, DrainError> {
        let mut found = Vec::new();
        if namespaces.len() > FEW_NAMESPACES {
            found = budgets(client, None).await?;
        } else {
            for namespace in namespaces {
                found.extend(budgets(client, Some(namespace)).await?);
            }
        }
        Ok(Self { budgets: Arc::new(found), ..self })
    }

    /// Whether the pod is the only one of a controller that keeps pods running.
    pub(super) fn is_lone(&self, pod: &PodFacts) -> bool {
        let owner = pod.owner.as_ref().filter(|owner| owner.kind != "Job");
        pod.phase != Phase::Finished && owner.is_some_and(|owner| self.cluster.replicas.get(&owner.uid) == Some(&1))
    }
}

/// The budgets of a namespace, or of all; none where listing them is forbidden.
async fn budgets(client: &Client, namespace: Option<&str>) -> Result<Vec<PodDisruptionBudget>, DrainError> {
    let api = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let budgets = fold(api, ListParams::default().limit(PAGE), Vec::new(), Vec::push).await;
    Ok(if_allowed("disruption budgets", budgets)?.unwrap_or_default())
}

/// All pods of the cluster, folded one after another into what a survey keeps of them.
#[derive(Debug, Clone)]
struct PodTally {
    /// The pods of the requested nodes.
    pods_of: PodsByNode,
    /// What each node still offers.
    capacities: Capacities,
    /// As [`Cluster::replicas`].
    replicas: HashMap<String, usize>,
}

impl PodTally {
    fn add(&mut self, pod: Pod) {
        let (facts, requirements) = (PodFacts::of(&pod), PodRequirements::of(&pod));
        if let Some(pods) = facts.node.as_ref().and_then(|node| self.pods_of.get_mut(node)) {
            pods.push((facts.clone(), requirements.clone()));
        }
        if facts.phase == Phase::Finished {
            return;
        }
        if let Some(capacity) = facts.node.as_ref().and_then(|node| self.capacities.get_mut(node)) {
            capacity.take(&requirements);
        }
        if let Some(owner) = facts.owner.filter(|_| facts.deletion.is_none()) {
            *self.replicas.entry(owner.uid).or_default() += 1;
        }
    }
}
