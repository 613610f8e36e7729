//! What a preview needs to know of the whole cluster, read once for any number of nodes: budgets, replicas, other nodes' room.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use k8s_openapi::api::{
    core::v1::{Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use tokio::{sync::Mutex, time::Instant};

use super::{
    DrainError,
    fit::{Offer, Wish},
    list::{self, PAGE},
    pods::{Phase, PodFacts},
};

/// For so long a look at the cluster is good for more nodes. Reading all pods of a large cluster is the dearest thing that
/// usher asks of a server, and what may have changed meanwhile only makes a verdict late: the server is asked about each
/// pod that could never go, and an eviction is its own proof.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// The latest look at the cluster. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Surveys(Arc<Mutex<Latest>>);

#[derive(Debug, Default)]
struct Latest {
    look: Option<AsOf<Arc<Survey>>>,
    /// What the nodes offer without their pods, for the next look, if somebody has read them for another purpose.
    offers: Option<AsOf<Offers>>,
}

/// What was read, and when that began.
type AsOf<T> = (Instant, T);

/// By the node's name.
type Offers = HashMap<String, Offer>;

/// The pods of some nodes, with what they ask for.
pub(super) type PodsOf = HashMap<String, Vec<(PodFacts, Wish)>>;

impl Surveys {
    /// The next look need not list the nodes: this is what they have been since `begun`.
    pub(super) fn of_nodes(nodes: &[Node], begun: Instant) -> Self {
        let offers = nodes.iter().map(|node| (node.name_any(), Offer::of(node))).collect();
        Self(Arc::new(Mutex::new(Latest { look: None, offers: Some((begun, offers)) })))
    }

    /// A look that is not too old, and, if it was taken for this call, the pods of the nodes in `of`. Whoever asks while another
    /// one looks waits for that.
    pub(super) async fn latest(
        &self,
        client: &Client,
        of: &[String],
    ) -> Result<(Arc<Survey>, Option<PodsOf>), DrainError> {
        let mut latest = self.0.lock().await;
        if let Some(survey) = latest.look.as_ref().and_then(still_good) {
            return Ok((Arc::clone(survey), None));
        }
        // What is dropped first need not be held twice.
        let Latest { offers, .. } = mem::take(&mut *latest);
        let offers = offers.filter(|offers| still_good(offers).is_some()).map(|(_, offers)| offers);
        let begun = Instant::now();
        let (survey, pods) = Survey::read(client, of, offers).await?;
        let survey = Arc::new(survey);
        latest.look = Some((begun, Arc::clone(&survey)));
        Ok((survey, pods))
    }
}

fn still_good<T>((begun, read): &AsOf<T>) -> Option<&T> {
    (begun.elapsed() < GOOD_FOR).then_some(read)
}

/// The cluster, as far as the drain of a node depends on it. What may not be read is left out of the verdicts.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) budgets: Vec<PodDisruptionBudget>,
    pub(super) offers: Option<Vec<Offer>>,
    /// Pods of each controller that run or will, by its UID.
    replicas: HashMap<String, usize>,
}

impl Survey {
    /// `offers` are those of the nodes, if they have been read just now.
    async fn read(
        client: &Client,
        of: &[String],
        offers: Option<Offers>,
    ) -> Result<(Self, Option<PodsOf>), DrainError> {
        let page = ListParams::default().limit(PAGE);
        let budgets = list::fold(Api::all(client.clone()), page.clone(), Vec::new(), Vec::push).await;
        let budgets = if_allowed("disruption budgets", budgets)?;
        let offers = match offers {
            Some(offers) => Some(offers),
            None => {
                let offers = list::fold(Api::all(client.clone()), page.clone(), Offers::new(), |offers, node: Node| {
                    offers.insert(node.name_any(), Offer::of(&node));
                });
                if_allowed("nodes", offers.await)?
            }
        };
        let knows_nodes = offers.is_some();
        let pods_of = of.iter().map(|node| (node.clone(), Vec::new())).collect();
        let no_pods = Census { pods_of, offers: offers.unwrap_or_default(), replicas: HashMap::new() };
        let counted = list::fold(Api::all(client.clone()), page, no_pods.clone(), Census::count).await;
        let counted = if_allowed("pods", counted)?;
        let knows_pods = counted.is_some();
        let Census { pods_of, offers, replicas } = counted.unwrap_or(no_pods);
        let offers = knows_nodes.then(|| offers.into_values().collect());
        let survey = Self { budgets: budgets.unwrap_or_default(), offers, replicas };
        Ok((survey, knows_pods.then_some(pods_of)))
    }

    /// Whether the pod is the only one of a controller that keeps pods running.
    pub(super) fn is_lone(&self, pod: &PodFacts) -> bool {
        let owner = pod.owner.as_ref().filter(|owner| owner.kind != "Job");
        pod.phase != Phase::Finished && owner.is_some_and(|owner| self.replicas.get(&owner.uid) == Some(&1))
    }
}

/// What is made of all pods of the cluster, one after the other.
#[derive(Debug, Clone)]
struct Census {
    /// The pods of the nodes that are asked for.
    pods_of: PodsOf,
    /// What is left on each node.
    offers: Offers,
    /// As [`Survey::replicas`].
    replicas: HashMap<String, usize>,
}

impl Census {
    fn count(&mut self, pod: Pod) {
        let (facts, wish) = (PodFacts::of(&pod), Wish::of(&pod));
        if let Some(pods) = facts.node.as_ref().and_then(|node| self.pods_of.get_mut(node)) {
            pods.push((facts.clone(), wish.clone()));
        }
        if facts.phase == Phase::Finished {
            return;
        }
        if let Some(offer) = facts.node.as_ref().and_then(|node| self.offers.get_mut(node)) {
            offer.take(&wish);
        }
        if let Some(owner) = facts.owner.filter(|_| facts.deletion.is_none()) {
            *self.replicas.entry(owner.uid).or_default() += 1;
        }
    }
}

/// A list; None where it is forbidden.
fn if_allowed<A>(what: &str, list: Result<A, kube::Error>) -> Result<Option<A>, DrainError> {
    match list {
        Ok(list) => Ok(Some(list)),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(None),
        Err(error) => Err(DrainError::before_anything(format!("list the {what}"), &error)),
    }
}
