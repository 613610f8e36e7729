//! The end of a fleet, also of one whose benchmark has died.

use futures::{TryStreamExt, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams},
};
use tokio::time::sleep;

use super::{AT_ONCE, LIMIT, LOOK, NAMESPACE, PREFIX, limit_for, objects};
use crate::bed::{Bed, until};

impl Bed {
    /// Takes away what a fleet has left on this bed: kwok, nodes, pods.
    ///
    /// # Errors
    /// If something does not go in time.
    pub(in crate::bed) async fn end_fleet(&self) -> anyhow::Result<()> {
        if !self.has_kwok() {
            return Ok(());
        }
        // Without kubelets no pod ends.
        if !self.kwok_runs().await? {
            self.start_kwok().await?;
        }
        let client = self.patient_client().await?;
        self.clear_fleet(&client).await?;
        let nodes: Api<Node> = Api::all(client.clone());
        let fake = ListParams::default().labels(objects::POOL);
        nodes.delete_collection(&DeleteParams::default(), &fake).await?;
        until("the end of the fake nodes", LIMIT, async || {
            Ok(nodes.list_metadata(&fake).await?.items.is_empty().then_some(()))
        })
        .await?;
        self.stop_kwok().await?;
        // DaemonSets had their pods there, too. Nobody is left to end them.
        let pods: Api<Pod> = Api::all(client.clone());
        let left = pods.list(&ListParams::default()).await?;
        let left = left.iter().filter(|pod| {
            pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_some_and(|node| node.starts_with(PREFIX))
        });
        stream::iter(left.map(Ok))
            .try_for_each_concurrent(AT_ONCE, async |pod| {
                let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
                match pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await {
                    Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                    other => other.map(drop),
                }
            })
            .await?;
        Ok(())
    }

    async fn clear_fleet(&self, client: &Client) -> anyhow::Result<()> {
        let all = ListParams::default();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), NAMESPACE);
        let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
        budgets.delete_collection(&DeleteParams::default(), &all).await?;
        // The ReplicaSets go first: their controller must not make new pods.
        deployments.delete_collection(&DeleteParams::foreground(), &all).await?;
        pods.delete_collection(&DeleteParams::default(), &all.clone().labels(objects::BARE)).await?;
        let limit = limit_for(count(&pods, &all).await?)?;
        until("the end of the fleet's pods", limit, async || {
            let gone = count(&pods, &all).await? == 0 && deployments.list_metadata(&all).await?.items.is_empty();
            if !gone {
                sleep(LOOK).await;
            }
            Ok(gone.then_some(()))
        })
        .await
    }
}

/// How many there are, without their contents.
pub(super) async fn count(pods: &Api<Pod>, which: &ListParams) -> anyhow::Result<usize> {
    // With a selector the server does not tell how many remain: all are listed then, by their metadata alone.
    let which = if which.field_selector.is_some() { which.clone() } else { which.clone().limit(1) };
    let page = pods.list_metadata(&which).await?;
    Ok(page.items.len() + usize::try_from(page.metadata.remaining_item_count.unwrap_or_default())?)
}
