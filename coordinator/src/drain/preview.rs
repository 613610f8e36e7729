//! What a drain would do, without doing it: for plans.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    DrainError, DrainOptions, Drainer, Outlook, PodOutlook, PodRef, RefusedPod, StayingPod,
    evict::{Manner, Outcome, evict},
    fit::Wish,
    manner,
    pods::PodFacts,
    survey::Survey,
    verdicts::Look,
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
        let (survey, mut pods) = self.surveys.latest(&self.client, nodes).await?;
        let previews = nodes.iter().map(|node| {
            let pods = pods.as_mut().and_then(|pods| pods.remove(node));
            self.preview(node, pods, options, &survey, confirm)
        });
        stream::iter(previews).buffered(NODES).try_collect().await
    }

    /// Whether a drain of the node may begin: no pod stands against it for good, or only such that the operator does not mind.
    ///
    /// # Errors
    ///
    /// [`DrainError::Never`] names the pods and what would let them go; [`DrainError::Api`] as [`Self::previews`].
    pub async fn check(&self, node: &str, options: &DrainOptions) -> Result<(), DrainError> {
        if self.cleared.lately(node) {
            return Ok(());
        }
        let (survey, pods) = self.surveys.latest(&self.client, &[node.to_owned()]).await?;
        let pods = pods.and_then(|mut pods| pods.remove(node));
        let preview = self.preview(node, pods, options, &survey, Confirm::Never).await?;
        let pods: Vec<_> = preview.against(options).cloned().collect();
        match pods.is_empty() {
            true => Ok(()),
            false => Err(DrainError::Never { node: node.to_owned(), pods, remains: Box::default() }),
        }
    }

    /// `pods` are the node's, if they have been read just now.
    async fn preview(
        &self,
        node: &str,
        pods: Option<Vec<(PodFacts, Wish)>>,
        options: &DrainOptions,
        survey: &Survey,
        confirm: Confirm,
    ) -> Result<DrainPreview, DrainError> {
        let begun = Instant::now();
        let look = Look { client: &self.client, node, options, survey, daemon_sets: &self.daemon_sets };
        let mut preview = look.preview(pods).await?;
        preview.confirm(&self.client, options, confirm).await;
        preview.wait = preview.pods.iter().filter(|pod| matches!(pod.outlook, Outlook::Wait { .. })).count();
        if confirm != Confirm::Nothing && preview.against(options).next().is_none() {
            self.cleared.note(node, begun);
        }
        Ok(preview)
    }
}

/// Nodes that nothing stands against, and when that was seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Cleared(Arc<Mutex<BTreeMap<String, Instant>>>);

/// A verdict as young as this is not asked for again before the cordon: an operator who was asked first took longer.
const CLEARED_FOR: Duration = Duration::from_secs(5);

impl Cleared {
    fn note(&self, node: &str, at: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), at);
    }

    fn lately(&self, node: &str) -> bool {
        let cleared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cleared.get(node).is_some_and(|at| at.elapsed() < CLEARED_FOR)
    }
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
        let manner = Manner { dry_run: true, ..manner(options) };
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
