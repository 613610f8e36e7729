//! Watches disruption budgets, in the namespaces in which one keeps a pod, and nowhere else.
//!
//! A budget is recounted whenever a pod of its becomes ready or goes: that is the moment to ask again, and no clock knows it.

use std::collections::BTreeSet;

use futures::{
    StreamExt as _, future,
    stream::{BoxStream, SelectAll},
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};

use super::watching::{Steady, of_watch, watch_seconds};
use crate::cluster::retry::is_transient;

/// A budget as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BudgetNews {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) room: Room,
    /// Why there is none, in the words in which the server refuses.
    pub(super) words: Option<String>,
    /// Names of pods whose eviction the budget has counted, and which it still waits to see gone.
    pub(super) granted: BTreeSet<String>,
}

/// How many pods a budget lets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// So many.
    For(usize),
    /// All: it is no more.
    Unbounded,
}

/// The watches of one drain. There are none until [`Self::follow`] is told of a namespace.
#[derive(Default)]
pub(super) struct BudgetWatches {
    followed: BTreeSet<String>,
    news: SelectAll<BoxStream<'static, BudgetNews>>,
}

impl BudgetWatches {
    /// Begins to watch the namespaces that are not watched yet. Where that is forbidden, only the fallback clock is left.
    pub(super) fn follow<'n>(&mut self, client: &Client, namespaces: impl IntoIterator<Item = &'n str>) {
        for namespace in namespaces {
            if !self.followed.contains(namespace) {
                self.followed.insert(namespace.to_owned());
                self.news.push(news_of(client, namespace));
            }
        }
    }

    /// The next change, or None while nothing is watched.
    pub(super) async fn next(&mut self) -> Option<BudgetNews> {
        self.news.next().await
    }
}

fn news_of(client: &Client, namespace: &str) -> BoxStream<'static, BudgetNews> {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().timeout(watch_seconds());
    let events = watcher(budgets, config).backoff(Steady).map(|event| event.map_err(of_watch));
    let until_forbidden = events.take_while(|event| {
        let goes_on = !matches!(event, Err(Some(error)) if !is_transient(error));
        future::ready(goes_on)
    });
    let news = until_forbidden.filter_map(|event| {
        future::ready(match event {
            Ok(watcher::Event::InitApply(budget) | watcher::Event::Apply(budget)) => news(&budget),
            Ok(watcher::Event::Delete(budget)) => Some(named(&budget, Room::Unbounded)),
            _ => None,
        })
    });
    news.boxed()
}

/// None while the budget has changed and has yet to be recounted: the server refuses then whatever it says.
fn news(budget: &PodDisruptionBudget) -> Option<BudgetNews> {
    let status = budget.status.as_ref()?;
    let counted = status.observed_generation.unwrap_or(0) >= budget.metadata.generation.unwrap_or(0);
    let room = usize::try_from(status.disruptions_allowed).unwrap_or(0);
    let short = room == 0 && status.current_healthy <= status.desired_healthy;
    let words = short.then(|| {
        let (name, needs, has) = (budget.name_any(), status.desired_healthy, status.current_healthy);
        format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently")
    });
    let granted = status.disrupted_pods.iter().flatten().map(|(pod, _)| pod.clone()).collect();
    counted.then(|| BudgetNews { words, granted, ..named(budget, Room::For(room)) })
}

fn named(budget: &PodDisruptionBudget, room: Room) -> BudgetNews {
    BudgetNews {
        namespace: budget.namespace().unwrap_or_default(),
        name: budget.name_any(),
        room,
        words: None,
        granted: BTreeSet::new(),
    }
}
