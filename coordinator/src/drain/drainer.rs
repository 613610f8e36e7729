//! The entry point: previews and drains of one or many nodes through one client.

use std::{fmt, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use usher_core::drain::DrainOptions;

use super::{
    evict::Pace,
    follow::{Deadline, Ledger},
    report::{DrainError, DrainPreview, DrainProgress, Drained, Verdict},
    run::{ANSWERS_WITHIN, Drain, server_now},
    select::{self, Cache, DaemonSets, PodFacts, REQUEST_LIMIT},
    verdict::{Assessment, Attachments, Confirm, NodePods, PodRequirements, Survey, Surveys, Volumes, confirm},
};

/// How many nodes are assessed concurrently.
const NODES: usize = 4;

/// How long a confirmed "nothing stands against it" is reused before the cordon: an operator who is asked in between takes
/// longer, and then the node is assessed again.
const DRAINABLE_FOR: Duration = Duration::from_secs(5);

/// Drains nodes through one client, one after another or concurrently: all share one bound on the evictions in flight and one
/// survey of the cluster. Clones share them, too.
#[derive(Clone)]
pub struct Drainer {
    client: Client,
    surveys: Surveys,
    daemon_sets: DaemonSets,
    /// Nodes whose verdicts allowed a drain.
    drainable: Cache<String, ()>,
    pace: Pace,
    budget_leader: watch::Receiver<Option<bool>>,
    stop: watch::Receiver<bool>,
    clock_offset: SignedDuration,
}

impl fmt::Debug for Drainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drainer").finish_non_exhaustive()
    }
}

impl Drainer {
    /// `client` must not retry by itself (`default_retry` off), or a drain sees blocked pods too late.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            surveys: Surveys::default(),
            daemon_sets: DaemonSets::default(),
            drainable: Cache::new(DRAINABLE_FOR),
            pace: Pace::default(),
            budget_leader: watch::channel(None).1,
            stop: watch::channel(false).1,
            clock_offset: SignedDuration::ZERO,
        }
    }

    /// Spares the first survey the list of the nodes. `nodes` are all Nodes of the cluster, read from `begun` on.
    #[must_use]
    pub fn with_nodes(self, nodes: &[Node], begun: Instant) -> Self {
        Self { surveys: self.surveys.with_nodes(nodes, begun), ..self }
    }

    /// Lets drains tell pods that wait for a budget from pods that wait because nobody replenishes budgets. `leader` says
    /// whether a kube-controller-manager leads, whose disruption controller alone counts budgets; None if that is unknown.
    #[must_use]
    pub fn with_budget_leader(self, leader: watch::Receiver<Option<bool>>) -> Self {
        Self { budget_leader: leader, ..self }
    }

    /// Once `stop` is true drains send no further request. They await the answers to those that they have sent for a moment, and end with
    /// [`DrainError::Stopped`].
    #[must_use]
    pub fn with_stop(self, stop: watch::Receiver<bool>) -> Self {
        Self { stop, ..self }
    }

    /// How far the API server's clock is ahead of this machine's; negative if it is behind. Times that the server or a kubelet
    /// has stamped are compared with the server's clock.
    #[must_use]
    pub fn with_clock_offset(self, offset: SignedDuration) -> Self {
        Self { clock_offset: offset, ..self }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The bound on evictions that everything shares which evicts through this client.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Assesses the nodes' pods, their budgets, and where their successors could run. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`DrainError::Api`] if the API does not answer or refuses. If it forbids listing the budgets, nodes or pods of the whole
    /// cluster, the verdicts do without them.
    pub async fn previews(
        &self,
        nodes: &[String],
        options: &DrainOptions,
        which: Confirm,
    ) -> Result<Vec<DrainPreview>, DrainError> {
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let (survey, pods) = self.surveys.latest(&self.client, nodes).await?;
        let pods = match pods {
            Some(mut pods) => nodes.iter().map(|node| (node.clone(), pods.remove(node).unwrap_or_default())).collect(),
            None => {
                let pods_of = async |node: &String| Ok((node.clone(), self.pods_of(node, options).await?));
                stream::iter(nodes).map(pods_of).buffered(NODES).try_collect::<Vec<_>>().await?
            }
        };
        let attachments = match options.policy.wait_for_volumes && pods.iter().any(|(_, pods)| have_claims(pods)) {
            true => self.surveys.attachments(&self.client).await?,
            false => None,
        };
        let volumes = self.volumes_of(pods.iter().any(|(_, pods)| have_claims(pods)), false).await?;
        let assessment = self.assessment(options, &survey, &volumes, attachments.as_deref());
        let previews = pods.into_iter().map(|(node, pods)| self.preview(&assessment, node, pods, options, which));
        Ok(stream::iter(previews).buffered(NODES).collect().await)
    }

    /// Whether a drain of the node may begin: no pod stands against it for good, or the operator ignores those that do.
    ///
    /// # Errors
    ///
    /// [`DrainError::Never`] names the pods and what would unblock them; [`DrainError::Api`] as [`Self::previews`].
    pub async fn check(&self, node: &str, options: &DrainOptions) -> Result<(), DrainError> {
        if self.drainable.get(&node.to_owned()).await.is_some() || self.was_drainable(node, options).await? {
            return Ok(());
        }
        let (survey, pods) = self.surveys.latest(&self.client, &[node.to_owned()]).await?;
        let pods = match pods.and_then(|mut pods| pods.remove(node)) {
            Some(pods) => pods,
            None => self.pods_of(node, options).await?,
        };
        let volumes = self.volumes_of(have_claims(&pods), false).await?;
        let assessment = self.assessment(options, &survey, &volumes, None);
        let preview = self.preview(&assessment, node.to_owned(), pods, options, Confirm::Never).await;
        let pods: Vec<_> = preview.against(options).cloned().collect();
        match pods.is_empty() {
            true => Ok(()),
            false => Err(DrainError::Never { node: node.to_owned(), pods, remains: Box::default() }),
        }
    }

    /// Whether nothing stands against a drain by the last look at the cluster, if that is not too old for the question, and by the node's
    /// pods and their budgets as they are now.
    async fn was_drainable(&self, node: &str, options: &DrainOptions) -> Result<bool, DrainError> {
        if !self.surveys.has_last().await {
            return Ok(false);
        }
        let pods = self.pods_of(node, options).await?;
        let namespaces = pods.iter().map(|(pod, _)| pod.pod.namespace.clone()).collect();
        let Some(survey) = self.surveys.last(&self.client, &namespaces).await? else { return Ok(false) };
        let volumes = self.volumes_of(have_claims(&pods), true).await?;
        let assessment = self.assessment(options, &survey, &volumes, None);
        let preview = self.preview(&assessment, node.to_owned(), pods, options, Confirm::Nothing).await;
        Ok(preview.against(options).next().is_none())
    }

    /// Evicts every pod that has to leave the node, and waits until all of them have gone. Cordon the node first.
    ///
    /// `progress` is called whenever something has changed.
    ///
    /// # Errors
    ///
    /// [`DrainError::Refused`] before anything is evicted if pods forbid it; [`DrainError::Failed`] as soon as only pods are
    /// left that cannot be evicted or wait for a budget; [`DrainError::TimedOut`] after [`DrainOptions::timeout`];
    /// [`DrainError::Api`] if the API refuses a request that a drain cannot do without.
    pub async fn drain(
        &self,
        node: &str,
        options: &DrainOptions,
        progress: &mut (dyn FnMut(DrainProgress) + Send),
    ) -> Result<Drained, DrainError> {
        let started = Instant::now();
        let (deadline, expired) = Deadline::after(options.timeout, started);
        let mut drain = Drain {
            client: &self.client,
            node,
            options,
            pace: self.pace.clone(),
            budget_leader: self.budget_leader.clone(),
            stop: self.stop.clone(),
            clock_offset: self.clock_offset,
            ledger: Ledger::escalating(options.escalation),
            daemon_sets: self.daemon_sets.clone(),
            deadline,
        };
        // Everything that the drain waits for, requests in flight included, lives in this future and ends with it.
        let ended = tokio::select! {
            biased;
            ended = drain.empty_the_node(progress) => Some(ended),
            () = expired.wait() => None,
            () = stopped(self.stop.clone()) => {
                let remains = Box::new(drain.ledger.remains());
                return Err(DrainError::Stopped { node: node.to_owned(), remains });
            }
        };
        match ended {
            Some(Ok(())) => Ok(drain.ledger.into_drained(started.elapsed())),
            Some(Err(error)) => Err(error),
            None => Err(DrainError::TimedOut {
                node: node.to_owned(),
                waited: started.elapsed(),
                remains: Box::new(drain.ledger.remains()),
            }),
        }
    }

    async fn pods_of(&self, node: &str, options: &DrainOptions) -> Result<NodePods, DrainError> {
        let facts = |pod: &_| (PodFacts::of(pod), PodRequirements::of(pod));
        let listed = select::of_node(&self.client, node, options, REQUEST_LIMIT, facts).await;
        let (pods, _) =
            listed.map_err(|error| DrainError::before_anything(format!("list the pods on {node}"), &error))?;
        Ok(pods)
    }

    /// The volumes behind claims, if pods have any.
    async fn volumes_of(&self, have_claims: bool, old: bool) -> Result<Arc<Volumes>, DrainError> {
        match have_claims {
            true => self.surveys.volumes(&self.client, old).await,
            false => Ok(Arc::default()),
        }
    }

    fn assessment<'a>(
        &'a self,
        options: &'a DrainOptions,
        survey: &'a Survey,
        volumes: &'a Volumes,
        attachments: Option<&'a Attachments>,
    ) -> Assessment<'a> {
        let now = server_now(self.clock_offset);
        Assessment::new((&self.client, options), survey, volumes, attachments, &self.daemon_sets, now)
    }

    async fn preview(
        &self,
        assessment: &Assessment<'_>,
        node: String,
        pods: NodePods,
        options: &DrainOptions,
        which: Confirm,
    ) -> DrainPreview {
        let begun = Instant::now();
        let mut preview = assessment.preview(&node, pods).await;
        confirm(&mut preview, &self.client, options, which).await;
        preview.wait = preview.pods.iter().filter(|pod| matches!(pod.verdict, Verdict::Wait { .. })).count();
        if which != Confirm::Nothing && preview.against(options).next().is_none() {
            self.drainable.insert(node, (), begun).await;
        }
        preview
    }
}

/// Completes when a drain that was stopped should have ended by itself: whatever it waits for then, it waits no longer.
async fn stopped(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        return std::future::pending().await;
    }
    sleep(2 * ANSWERS_WITHIN).await;
}

fn have_claims(pods: &[(PodFacts, PodRequirements)]) -> bool {
    pods.iter().any(|(pod, _)| !pod.claims.is_empty())
}
