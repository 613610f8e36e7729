//! Follows the pods of one controller, to see which one takes the place of a pod that goes, and where.

use std::{
    collections::{BTreeMap, BTreeSet},
    future,
};

use futures::{StreamExt as _, stream::BoxStream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};

use super::guest::Kind;
use crate::{
    cluster::{
        names::TEMPLATE_HASH,
        retry::{error_message, is_transient},
        watch::{Steady, api_error, watch_seconds},
    },
    drain::{report::PodRef, select::PodFacts},
};

/// A pod of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sibling {
    pub(super) pod: PodRef,
    pub(super) node: Option<String>,
    pub(super) ready: bool,
    going: bool,
}

/// The pods of one controller, kept up to date by a watch that recovers by itself.
pub(super) struct Siblings {
    owner: String,
    events: BoxStream<'static, Result<watcher::Event<Pod>, String>>,
    /// By UID.
    pods: BTreeMap<String, Sibling>,
    /// The list that is being read; None once it is complete.
    listing: Option<BTreeMap<String, Sibling>>,
    /// Those that there were when [`Self::listed`] returned, by UID.
    known: BTreeSet<String>,
}

impl Siblings {
    /// The pods of the controller of `pod`, whose kind is `kind`. Nothing is read before [`Self::listed`].
    pub(super) fn of(client: &Client, pod: &PodRef, kind: &Kind) -> Self {
        let config = watcher::Config::default().timeout(watch_seconds());
        let config = match kind.labels.get(TEMPLATE_HASH) {
            // Its successor has the same name.
            _ if kind.is_of_stateful_set() => config.fields(&format!("metadata.name={}", pod.name)),
            Some(hash) => config.labels(&format!("{TEMPLATE_HASH}={hash}")),
            None => config,
        };
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
        let events = watcher(api, config).backoff(Steady).filter_map(|event| {
            future::ready(match event {
                Ok(event) => Some(Ok(event)),
                // A broken connection is no failure: the watch goes on.
                Err(error) => {
                    api_error(error).filter(|error| !is_transient(error)).map(|error| Err(error_message(&error)))
                }
            })
        });
        let owner = kind.owner.as_ref().map(|owner| owner.uid.clone()).unwrap_or_default();
        let (pods, known) = (BTreeMap::new(), BTreeSet::new());
        Self { owner, events: events.boxed(), pods, listing: Some(BTreeMap::new()), known }
    }

    /// Waits until all pods that there are now are known. A later one is a successor.
    ///
    /// # Errors
    ///
    /// The API's message if it refuses for good.
    pub(super) async fn listed(&mut self) -> Result<(), String> {
        while self.listing.is_some() {
            self.changed().await?;
        }
        self.known = self.pods.keys().cloned().collect();
        Ok(())
    }

    /// Waits for the next change.
    ///
    /// # Errors
    ///
    /// As [`Self::listed`].
    pub(super) async fn changed(&mut self) -> Result<(), String> {
        match self.events.next().await {
            Some(Ok(event)) => self.note(event),
            Some(Err(message)) => return Err(message),
            // A watcher never ends.
            None => future::pending().await,
        }
        Ok(())
    }

    /// Whether the pod is there.
    pub(super) fn has(&self, pod: &PodRef) -> bool {
        self.pods.contains_key(&pod.uid)
    }

    /// A pod that has come since, and stays; the one that is furthest, if there are several.
    pub(super) fn successor(&self) -> Option<&Sibling> {
        let come = self.pods.iter().filter(|(uid, pod)| !self.known.contains(*uid) && !pod.going);
        come.map(|(_, pod)| pod).max_by_key(|pod| (pod.ready, pod.node.is_some()))
    }

    fn note(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listing = Some(BTreeMap::new()),
            watcher::Event::InitApply(pod) => {
                if let (Some(sibling), Some(listing)) = (self.sibling(&pod), &mut self.listing) {
                    listing.insert(sibling.pod.uid.clone(), sibling);
                }
            }
            watcher::Event::InitDone => self.pods = self.listing.take().unwrap_or_default(),
            watcher::Event::Apply(pod) => {
                if let Some(sibling) = self.sibling(&pod) {
                    self.pods.insert(sibling.pod.uid.clone(), sibling);
                }
            }
            watcher::Event::Delete(pod) => drop(self.pods.remove(pod.metadata.uid.as_deref().unwrap_or_default())),
        }
    }

    fn sibling(&self, pod: &Pod) -> Option<Sibling> {
        let PodFacts { pod, owner, node, ready, deletion, .. } = PodFacts::of(pod);
        owner.is_some_and(|owner| owner.uid == self.owner).then(|| Sibling {
            pod,
            node,
            ready,
            going: deletion.is_some(),
        })
    }
}
