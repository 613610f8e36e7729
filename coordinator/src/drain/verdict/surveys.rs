//! What was read of the whole cluster lately, and how long that is good for.
//!
//! The list of all pods of a large cluster is the most expensive request that usher makes: 50,000 pods are some 300 MB. A roll of
//! reboots asks before each of its turns whether the next node can be drained, and that question must not cost such a list each time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Node;
use kube::{Client, ResourceExt as _};
use tokio::time::Instant;

use super::{
    attachments::Attachments,
    fit::NodeCapacity,
    survey::{Capacities, PodsByNode, Survey},
    volumes::Volumes,
};
use crate::drain::{report::DrainError, select::Cache};

/// How long a look at the cluster is taken as it is. A change in the meantime only makes a verdict late: the server confirms each "never"
/// that is about its own answer, and an eviction is its own proof.
const MAX_AGE: Duration = Duration::from_secs(30);

/// How old one may be that is only to show that nothing stands against a drain: what an old look forbids, a fresh one must forbid too.
const OLDEST: Duration = Duration::from_secs(60 * 60);

/// The latest looks. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Surveys {
    surveys: Cache<(), Survey>,
    /// The nodes without their pods, if they were read for another purpose.
    nodes: Cache<(), Capacities>,
    volumes: Cache<(), Option<Arc<Volumes>>>,
    attachments: Cache<(), Option<Arc<Attachments>>>,
}

impl Default for Surveys {
    fn default() -> Self {
        Self {
            surveys: Cache::new(MAX_AGE),
            nodes: Cache::new(MAX_AGE),
            volumes: Cache::new(MAX_AGE),
            attachments: Cache::new(MAX_AGE),
        }
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
    ) -> Result<(Survey, Option<PodsByNode>), DrainError> {
        let mut pods = None;
        let read = async || {
            let capacities = self.nodes.get(&()).await;
            let survey;
            (survey, pods) = Survey::read(client, nodes, capacities).await?;
            Ok(survey)
        };
        let survey = self.surveys.get_or_read((), read).await?;
        Ok((survey, pods))
    }

    /// The last survey, if it is not too old to show that nothing stands against a drain; with the budgets of these namespaces as they
    /// are now, unless it is a young one.
    pub(crate) async fn last(
        &self,
        client: &Client,
        namespaces: &BTreeSet<String>,
    ) -> Result<Option<Survey>, DrainError> {
        if let Some(young) = self.surveys.get(&()).await {
            return Ok(Some(young));
        }
        match self.surveys.get_within(&(), OLDEST).await {
            Some(old) => Ok(Some(old.with_budgets_of(client, namespaces).await?)),
            None => Ok(None),
        }
    }

    /// Whether [`Self::last`] has one.
    pub(crate) async fn has_last(&self) -> bool {
        self.surveys.get_within(&(), OLDEST).await.is_some()
    }

    /// The volumes behind all claims; of the last hour if `old` ones do. Without the right to list them none is known.
    pub(crate) async fn volumes(&self, client: &Client, old: bool) -> Result<Arc<Volumes>, DrainError> {
        let known = if old { self.volumes.get_within(&(), OLDEST).await } else { None };
        let volumes = match known {
            Some(volumes) => volumes,
            None => {
                let read = async || Ok(Volumes::read(client, |_| true).await?.map(Arc::new));
                self.volumes.get_or_read((), read).await?
            }
        };
        Ok(volumes.unwrap_or_default())
    }

    /// What is attached to the nodes; None without the right to list it.
    pub(crate) async fn attachments(&self, client: &Client) -> Result<Option<Arc<Attachments>>, DrainError> {
        let read = async || Ok(Attachments::read(client).await?.map(Arc::new));
        self.attachments.get_or_read((), read).await
    }
}
