//! Nodes that do not exist, by the hundred, on the bed's real API servers: kwok plays their kubelets.
//!
//! Scheduler, controllers, disruption budgets and evictions are the real ones. What kwok cannot do (boot ids, signals,
//! containers, grace periods) is the real workers' part.

mod clear;
mod kwok;
mod objects;

use std::{ops::Range, time::Duration};

use futures::{TryStreamExt, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Node, Pod, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Bed, is_ready, until};

/// Where all of a fleet's pods live.
const NAMESPACE: &str = "fleet";
/// What all fake nodes' names begin with.
const PREFIX: &str = "fleet-";
/// Fifty pods a second were bound and made Ready on two cores; the rest is for slower hosts.
const PER_POD: Duration = Duration::from_millis(200);
/// For each fake node until it is Ready.
const PER_NODE: Duration = Duration::from_millis(300);
/// For whatever grows with neither.
const LIMIT: Duration = Duration::from_secs(60);
/// Looked at less often than elsewhere on the bed: a list of a fleet is work for the server that is measured.
const LOOK: Duration = Duration::from_millis(500);
/// Writes under way at once while a fleet is set up or taken down.
const AT_ONCE: usize = 16;
/// Objects to a page of a list.
const PAGE: u32 = 500;

/// A fleet of fake nodes. [`Bed::restore`] takes away one that was left behind.
#[derive(Debug)]
pub struct Fleet {
    bed: Bed,
}

/// Nodes that some workload is bound to, by the name that they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool(pub &'static str);

/// Pods of Deployments that only run on one pool.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Of the Deployments, with a number.
    pub name: String,
    /// Where they run.
    pub pool: Pool,
    /// How many.
    pub deployments: usize,
    /// Pods of each.
    pub replicas: usize,
    /// How many of a Deployment's pods may be away at once; none means no budget.
    pub max_unavailable: Option<usize>,
    /// How long a pod must have been ready to count as available, in whole seconds.
    pub available_after: Duration,
}

impl Pool {
    /// The name of one of its nodes.
    pub fn node(self, number: usize) -> String {
        format!("{PREFIX}{}-{number}", self.0)
    }
}

impl Fleet {
    /// Starts kwok for a fleet without nodes yet. What was left of another one is taken away before.
    ///
    /// # Errors
    /// If kwok does not start.
    pub async fn start(bed: &Bed) -> anyhow::Result<Self> {
        bed.end_fleet().await?;
        bed.start_kwok().await?;
        let client = bed.patient_client().await?;
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        apply(&Api::<Namespace>::all(client.clone()), NAMESPACE, &namespace).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
        // Without it no pod may be made here.
        until("the fleet's service account", LIMIT, async || Ok(accounts.get_opt("default").await?)).await?;
        Ok(Self { bed: bed.clone() })
    }

    /// Adds nodes to a pool, each with room for `room` pods, and waits until they take pods. `labels` come on top of the
    /// pool's.
    ///
    /// # Errors
    /// If they do not become Ready in time.
    pub async fn add(
        &self,
        pool: Pool,
        numbers: Range<usize>,
        room: usize,
        labels: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let nodes: Api<Node> = Api::all(self.bed.patient_client().await?);
        let names: Vec<_> = numbers.map(|number| pool.node(number)).collect();
        stream::iter(names.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, async |name| {
                let node = serde_json::from_value(objects::node(pool, name, room, labels))?;
                nodes.create(&PostParams::default(), &node).await?;
                anyhow::Ok(())
            })
            .await?;
        let selector = format!("{}={}", objects::POOL, pool.0);
        let limit = LIMIT + PER_NODE * u32::try_from(names.len())?;
        until("Ready fake nodes", limit, async || {
            let listed = nodes.list(&ListParams::default().labels(&selector)).await?;
            let ready = listed.iter().filter(|node| objects::is_open(node)).map(ResourceExt::name_any);
            let ready: Vec<_> = ready.collect();
            Ok(names.iter().all(|name| ready.contains(name)).then_some(()))
        })
        .await
    }

    /// Opens or closes nodes for the scheduler.
    ///
    /// # Errors
    /// If a node is unknown.
    pub async fn cordon(&self, pool: Pool, numbers: Range<usize>, cordoned: bool) -> anyhow::Result<()> {
        let nodes: Api<Node> = Api::all(self.bed.patient_client().await?);
        // usher's mark on a node that it has drained would otherwise stay.
        let unmarked = json!({ "annotations": { "usher.dev/cordon": null } });
        let patch = Patch::Merge(json!({ "metadata": unmarked, "spec": { "unschedulable": cordoned } }));
        for number in numbers {
            nodes.patch(&pool.node(number), &PatchParams::default(), &patch).await?;
        }
        Ok(())
    }

    /// Starts a workload, without waiting for it.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn deploy(&self, workload: &Workload) -> anyhow::Result<()> {
        let client = self.bed.patient_client().await?;
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(client, NAMESPACE);
        for number in 0..workload.deployments {
            let name = format!("{}-{number}", workload.name);
            if let Some(max_unavailable) = workload.max_unavailable {
                apply(&budgets, &name, &objects::budget(&name, max_unavailable)).await?;
            }
            apply(&deployments, &name, &objects::deployment(&name, workload)).await?;
        }
        Ok(())
    }

    /// Puts pods on a node that nobody replaces when they go, and waits until all are Ready. Their names begin with `prefix`.
    ///
    /// # Errors
    /// If the server refuses them, or they do not become Ready in time.
    pub async fn place(&self, node: &str, prefix: &str, count: usize) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.bed.patient_client().await?, NAMESPACE);
        stream::iter((0..count).map(Ok))
            .try_for_each_concurrent(AT_ONCE, async |number| {
                let pod = objects::bare_pod(&format!("{prefix}-{number}"), node);
                pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
                anyhow::Ok(())
            })
            .await?;
        let there = on_node(node).labels(objects::BARE);
        let limit = limit_for(count)?;
        until("the pods to be Ready", limit, async || {
            let up = pods.list(&there).await?.iter().filter(|pod| is_ready(pod)).count() == count;
            if !up {
                sleep(LOOK).await;
            }
            Ok(up.then_some(()))
        })
        .await
    }

    /// Makes pods that no scheduler sees to and no kubelet runs, only to be looked at. Their names begin with `prefix`.
    ///
    /// # Errors
    /// If the server refuses them.
    pub async fn pile(&self, prefix: &str, count: usize) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.bed.patient_client().await?, NAMESPACE);
        stream::iter((0..count).map(Ok))
            .try_for_each_concurrent(AT_ONCE, async |number| {
                let pod = objects::loose_pod(&format!("{prefix}-{number}"));
                pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
                anyhow::Ok(())
            })
            .await
    }

    /// Takes them away again: page by page, as one request for all would take longer than a server lets it.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn clear_pile(&self) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.bed.patient_client().await?, NAMESPACE);
        loop {
            let page = pods.list_metadata(&ListParams::default().labels(objects::BARE).limit(PAGE)).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            stream::iter(page.iter().map(Ok))
                .try_for_each_concurrent(AT_ONCE, async |pod| {
                    pods.delete(&pod.name_any(), &DeleteParams::default()).await.map(drop)
                })
                .await?;
        }
    }

    /// Evicts the fleet's pods from a node, up to `at_once` at a time, and waits until they are gone: this takes as long as
    /// the server itself needs, whatever a tool adds. Returns how long it took.
    ///
    /// # Errors
    /// If an eviction is refused, or the pods do not go in time.
    #[expect(clippy::disallowed_methods, reason = "no precondition and no grace of its own is wanted here")]
    pub async fn evict_all(&self, node: &str, at_once: usize) -> anyhow::Result<Duration> {
        let pods: Api<Pod> = Api::namespaced(self.bed.patient_client().await?, NAMESPACE);
        let begin = Instant::now();
        let listed = pods.list_metadata(&on_node(node)).await?;
        stream::iter(listed.iter().map(Ok))
            .try_for_each_concurrent(at_once, async |pod| {
                pods.evict(&pod.name_any(), &EvictParams::default()).await.map(drop)
            })
            .await?;
        let limit = limit_for(listed.items.len())?;
        until("the end of the evicted pods", limit, async || {
            Ok(pods.list_metadata(&on_node(node).limit(1)).await?.items.is_empty().then_some(()))
        })
        .await?;
        Ok(begin.elapsed())
    }

    /// Waits until every Deployment has all its pods, no pod is on its way out, and every budget has its room again.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn settle(&self) -> anyhow::Result<()> {
        let client = self.bed.patient_client().await?;
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), NAMESPACE);
        let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
        let wanted: usize = deployments.list(&ListParams::default()).await?.iter().map(objects::replicas).sum();
        let limit = limit_for(wanted)?;
        until("the fleet to be at rest", limit, async || {
            let whole = deployments.list(&ListParams::default()).await?.iter().all(objects::is_whole)
                && budgets.list(&ListParams::default()).await?.iter().all(objects::has_room)
                && clear::count(&pods, &ListParams::default()).await? == wanted;
            if !whole {
                sleep(LOOK).await;
            }
            Ok(whole.then_some(()))
        })
        .await
    }

    /// How many of the fleet's pods are bound to a node.
    ///
    /// # Errors
    /// If the server does not tell.
    pub async fn pods_on(&self, node: &str) -> anyhow::Result<usize> {
        let pods: Api<Pod> = Api::namespaced(self.bed.patient_client().await?, NAMESPACE);
        clear::count(&pods, &on_node(node)).await
    }

    /// Ends kwok and removes everything it played for.
    ///
    /// # Errors
    /// If something does not go in time.
    pub async fn end(self) -> anyhow::Result<()> {
        self.bed.end_fleet().await
    }
}

/// How long to wait until this many pods have come or gone.
fn limit_for(pods: usize) -> anyhow::Result<Duration> {
    Ok(LIMIT + PER_POD * u32::try_from(pods)?)
}

fn on_node(node: &str) -> ListParams {
    ListParams::default().fields(&format!("spec.nodeName={node}"))
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value) -> anyhow::Result<()>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    api.patch(name, &PatchParams::apply("bed"), &Patch::Apply(object)).await?;
    Ok(())
}
