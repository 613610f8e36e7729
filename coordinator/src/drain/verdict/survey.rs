//! What verdicts need to know of the whole cluster, read once for any number of nodes: budgets, replicas, and what other nodes
//! still offer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::{Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use tokio::time::Instant;

use super::fit::{NodeCapacity, PodRequirements};
use crate::drain::{
    report::DrainError,
    select::{Cache, PAGE, Phase, PodFacts, fold, if_allowed},
};

/// How long one survey may be reused. Listing all pods of a large cluster is the most expensive request that usher makes, and a
/// change in the meantime only makes a verdict late: the server confirms each "never", and an eviction is its own proof.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The latest survey. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Surveys {
    surveys: Cache<(), Arc<Survey>>,
    /// The nodes without their pods, if they were read for another purpose.
    nodes: Cache<(), Capacities>,
}

/// By the node's name.
type Capacities = BTreeMap<String, NodeCapacity>;

/// The pods of some nodes, by the node's name.
pub(crate) type PodsByNode = HashMap<String, Vec<(PodFacts, PodRequirements)>>;

impl Default for Surveys {
    fn default() -> Self {
        Self { surveys: Cache::new(MAX_AGE), nodes: Cache::new(MAX_AGE) }
    }
}

impl Surveys {
    /// The next survey need not list the nodes: these are all, read from `begun` on.
    pub(crate) fn with_nodes(self, nodes: &[Node], begun: Instant) -> Self {
        let capacities = nodes.iter().map(|node| (node.name_any(), NodeCapacity::of(node))).collect();
        Self { nodes: Cache::new(MAX_AGE).with((), capacities, begun), ..self }
    }

    /// A survey that is young enough, and, if it was made for this call, the pods of `nodes`. Concurrent callers share one.
    pub(crate) async fn latest(
        &self,
        client: &Client,
        nodes: &[String],
    ) -> Result<(Arc<Survey>, Option<PodsByNode>), DrainError> {
        let mut pods = None;
        let read = async || {
            let capacities = self.nodes.get(&()).await;
            let survey;
            (survey, pods) = Survey::read(client, nodes, capacities).await?;
            Ok(Arc::new(survey))
        };
        let survey = self.surveys.get_or_read((), read).await?;
        Ok((survey, pods))
    }
}

/// The cluster, as far as the drain of a node depends on it. What may not be listed is missing from the verdicts.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(super) budgets: Vec<PodDisruptionBudget>,
    pub(super) capacities: Option<Vec<NodeCapacity>>,
    /// How many pods of each controller run or will run, by its UID.
    replicas: HashMap<String, usize>,
}

impl Survey {
    /// `capacities` are those of the nodes without their pods, if they were read just now.
    async fn read(
        client: &Client,
        nodes: &[String],
        capacities: Option<Capacities>,
    ) -> Result<(Self, Option<PodsByNode>), DrainError> {
        let page = ListParams::default().limit(PAGE);
        let budgets = fold(Api::all(client.clone()), page.clone(), Vec::new(), Vec::push).await;
        let budgets = if_allowed("disruption budgets", budgets)?;
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
        let survey = Self { budgets: budgets.unwrap_or_default(), capacities, replicas };
        Ok((survey, knows_pods.then_some(pods_of)))
    }

    /// Whether the pod is the only one of a controller that keeps pods running.
    pub(super) fn is_lone(&self, pod: &PodFacts) -> bool {
        let owner = pod.owner.as_ref().filter(|owner| owner.kind != "Job");
        pod.phase != Phase::Finished && owner.is_some_and(|owner| self.replicas.get(&owner.uid) == Some(&1))
    }
}

/// All pods of the cluster, folded one after another into what a survey keeps of them.
#[derive(Debug, Clone)]
struct PodTally {
    /// The pods of the requested nodes.
    pods_of: PodsByNode,
    /// What each node still offers.
    capacities: Capacities,
    /// As [`Survey::replicas`].
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
