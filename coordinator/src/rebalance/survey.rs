//! What a rebalance reads of the cluster: nodes, budgets, pods, and the volumes of pods that may move.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::api::{
    core::v1::{Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use usher_core::drain::DrainOptions;

use super::{
    guest::{Guest, Keeps, Kind, keeps, kind_of},
    volumes::{AttachLimits, attach_limits},
};
use crate::drain::{
    report::DrainError,
    select::{PAGE, Phase, PodFacts, fold},
    verdict::{NodeCapacity, Volumes},
};

/// The cluster at one moment. Of the pods of a controller what they have in common is kept once, so that a hundred thousand pods
/// take some tens of megabytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Survey {
    /// All nodes, as they would be without pods, in alphabetical order.
    pub(super) nodes: Vec<NodeCapacity>,
    /// All pods that are on a node and have not ended.
    pub(super) guests: Vec<Guest>,
    pub(super) kinds: Vec<Kind>,
    pub(super) volumes: Volumes,
    pub(super) attach_limits: AttachLimits,
}

impl Survey {
    /// Reads the cluster. Without the right to list budgets, each eviction finds out by itself.
    ///
    /// # Errors
    ///
    /// If the API does not answer, or forbids listing nodes or pods.
    pub(super) async fn read(client: &Client, options: &DrainOptions) -> Result<Self, DrainError> {
        let page = ListParams::default().limit(PAGE);
        let failed = |what: &str, error: &kube::Error| DrainError::before_anything(format!("list the {what}"), error);
        let nodes = fold(Api::all(client.clone()), page.clone(), Vec::new(), |nodes, node: Node| {
            nodes.push(NodeCapacity::of(&node));
        });
        let mut nodes = nodes.await.map_err(|error| failed("nodes", &error))?;
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let budgets = budgets(client, page.clone()).await?;
        let numbers: HashMap<&str, usize> =
            nodes.iter().enumerate().map(|(number, node)| (node.name.as_str(), number)).collect();
        let add = |tally: &mut Tally, pod: Pod| {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if let Some(node) = node.and_then(|node| numbers.get(node)) {
                tally.add(&pod, *node, &budgets, options);
            }
        };
        let tally = fold(Api::all(client.clone()), page, Tally::default(), add).await;
        let mut survey = Self::of(nodes, tally.map_err(|error| failed("pods", &error))?);
        survey.look_up_volumes(client).await?;
        Ok(survey)
    }

    fn of(nodes: Vec<NodeCapacity>, tally: Tally) -> Self {
        let Tally { mut guests, kinds, controllers, .. } = tally;
        for guest in guests.iter_mut().filter(|guest| guest.keeps.is_none()) {
            let owner = kinds[guest.kind].owner.as_ref();
            guest.keeps = owner.and_then(|owner| controllers.get(&owner.uid)).and_then(Controller::keeps);
        }
        guests.sort_by(|a, b| a.pod.cmp(&b.pod));
        Self { nodes, guests, kinds, volumes: Volumes::default(), attach_limits: AttachLimits::default() }
    }

    /// A cluster without budgets and volumes. Each pod names its node by its index.
    #[cfg(test)]
    pub(super) fn of_pods(nodes: &[Node], pods: &[(usize, Pod)]) -> Self {
        let (mut tally, options) = (Tally::default(), DrainOptions::default());
        pods.iter().for_each(|(node, pod)| tally.add(pod, *node, &HashMap::new(), &options));
        Self::of(nodes.iter().map(NodeCapacity::of).collect(), tally)
    }

    /// Only of pods that may move: most clusters have many volumes and few of those.
    async fn look_up_volumes(&mut self, client: &Client) -> Result<(), DrainError> {
        let may_move = self.guests.iter().filter(|guest| guest.keeps.is_none());
        let claims: BTreeSet<_> = may_move
            .flat_map(|guest| guest.claims.iter().map(|claim| (guest.pod.namespace.clone(), claim.clone())))
            .collect();
        if claims.is_empty() {
            return Ok(());
        }
        let known = match Volumes::read(client, |claim| claims.contains(claim)).await? {
            Some(volumes) => attach_limits(client).await?.map(|limits| (volumes, limits)),
            None => None,
        };
        match known {
            Some((volumes, limits)) => (self.volumes, self.attach_limits) = (volumes, limits),
            None => {
                for guest in self.guests.iter_mut().filter(|guest| guest.keeps.is_none() && !guest.claims.is_empty()) {
                    guest.keeps = Some(Keeps::Volume);
                }
            }
        }
        Ok(())
    }
}

/// The disruption budgets by namespace.
async fn budgets(client: &Client, page: ListParams) -> Result<HashMap<String, Vec<PodDisruptionBudget>>, DrainError> {
    let add = |budgets: &mut HashMap<String, Vec<_>>, budget: PodDisruptionBudget| {
        budgets.entry(budget.namespace().unwrap_or_default()).or_default().push(budget);
    };
    let budgets = fold(Api::all(client.clone()), page, HashMap::new(), add).await;
    Ok(crate::drain::select::if_allowed("disruption budgets", budgets)?.unwrap_or_default())
}

/// All pods, folded one after another.
#[derive(Debug, Clone, Default)]
struct Tally {
    guests: Vec<Guest>,
    kinds: Vec<Kind>,
    /// The kinds of each controller, by its UID: one each, unless its pods differ.
    kinds_of: HashMap<String, Vec<usize>>,
    controllers: HashMap<String, Controller>,
}

/// How the pods of a controller are.
#[derive(Debug, Clone, Copy, Default)]
struct Controller {
    pods: usize,
    unready: usize,
}

impl Controller {
    fn keeps(&self) -> Option<Keeps> {
        match self {
            Self { pods: 0 | 1, .. } => Some(Keeps::LoneReplica),
            Self { unready: 0, .. } => None,
            _ => Some(Keeps::NotReady),
        }
    }
}

impl Tally {
    fn add(
        &mut self,
        pod: &Pod,
        node: usize,
        budgets: &HashMap<String, Vec<PodDisruptionBudget>>,
        options: &DrainOptions,
    ) {
        let facts = PodFacts::of(pod);
        if facts.phase == Phase::Finished {
            return;
        }
        let budgets = budgets.get(&facts.pod.namespace).map(Vec::as_slice).unwrap_or_default();
        let keeps = keeps(pod, &facts, budgets, options);
        let kind = self.intern(kind_of(pod, &facts, keeps));
        if let Some(owner) = &facts.owner {
            let controller = self.controllers.entry(owner.uid.clone()).or_default();
            controller.pods += usize::from(facts.deletion.is_none());
            controller.unready += usize::from(facts.deletion.is_none() && !facts.ready);
        }
        self.guests.push(Guest { pod: facts.pod, node, kind, claims: facts.claims, keeps });
    }

    fn intern(&mut self, kind: Kind) -> usize {
        let owner = kind.owner.as_ref().map(|owner| owner.uid.clone());
        let known = owner.as_ref().and_then(|owner| self.kinds_of.get(owner)).into_iter().flatten();
        if let Some(known) = known.copied().find(|known| self.kinds[*known] == kind) {
            return known;
        }
        self.kinds.push(kind);
        let number = self.kinds.len() - 1;
        if let Some(owner) = owner {
            self.kinds_of.entry(owner).or_default().push(number);
        }
        number
    }
}
