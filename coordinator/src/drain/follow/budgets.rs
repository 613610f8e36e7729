//! Watches disruption budgets, in the namespaces where one blocks a pod, and nowhere else.
//!
//! A budget is counted anew whenever one of its pods becomes ready or goes: that is the moment to try again, and no clock knows
//! it.

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

use crate::cluster::{
    retry::is_transient,
    watch::{Steady, api_error, watch_seconds},
};

/// A budget as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BudgetUpdate {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) allowance: Allowance,
    /// Why it allows none, as the message with which the server refuses.
    pub(super) message: Option<String>,
    /// Names of pods whose eviction the budget has counted, and which have yet to go: its `disruptedPods`.
    pub(super) granted: BTreeSet<String>,
}

impl BudgetUpdate {
    /// Whether a pod in this namespace may be evicted now that could not before.
    pub(crate) fn may_free(&self, namespace: &str) -> bool {
        self.namespace == namespace && self.allowance != Allowance::Pods(0)
    }
}

/// How many pods a budget allows to be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// This many.
    Pods(usize),
    /// Any number: the budget was deleted.
    Unlimited,
}

/// The watches of one drain: none until [`Self::follow`] adds a namespace.
#[derive(Default)]
pub(crate) struct BudgetWatches {
    followed: BTreeSet<String>,
    updates: SelectAll<BoxStream<'static, BudgetUpdate>>,
}

impl BudgetWatches {
    /// Starts to watch the namespaces that are not watched yet. Where that is forbidden, the ledger tries again by the clock.
    pub(crate) fn follow<'n>(&mut self, client: &Client, namespaces: impl IntoIterator<Item = &'n str>) {
        for namespace in namespaces {
            if !self.followed.contains(namespace) {
                self.followed.insert(namespace.to_owned());
                self.updates.push(updates_of(client, namespace));
            }
        }
    }

    /// The next change, or None while nothing is watched.
    pub(crate) async fn next(&mut self) -> Option<BudgetUpdate> {
        self.updates.next().await
    }
}

fn updates_of(client: &Client, namespace: &str) -> BoxStream<'static, BudgetUpdate> {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().timeout(watch_seconds());
    let events = watcher(budgets, config).backoff(Steady).map(|event| event.map_err(api_error));
    let until_forbidden = events.take_while(|event| {
        let goes_on = !matches!(event, Err(Some(error)) if !is_transient(error));
        future::ready(goes_on)
    });
    let updates = until_forbidden.filter_map(|event| {
        future::ready(match event {
            Ok(watcher::Event::InitApply(budget) | watcher::Event::Apply(budget)) => update(&budget),
            Ok(watcher::Event::Delete(budget)) => Some(named(&budget, Allowance::Unlimited)),
            _ => None,
        })
    });
    updates.boxed()
}

/// None while the budget has changed and is not counted yet: until then the server refuses, whatever the status says.
fn update(budget: &PodDisruptionBudget) -> Option<BudgetUpdate> {
    let status = budget.status.as_ref()?;
    let counted = status.observed_generation.unwrap_or(0) >= budget.metadata.generation.unwrap_or(0);
    let allowed = usize::try_from(status.disruptions_allowed).unwrap_or(0);
    let short = allowed == 0 && status.current_healthy <= status.desired_healthy;
    let message = short.then(|| {
        let (name, needs, has) = (budget.name_any(), status.desired_healthy, status.current_healthy);
        format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently")
    });
    let granted = status.disrupted_pods.iter().flatten().map(|(pod, _)| pod.clone()).collect();
    counted.then(|| BudgetUpdate { message, granted, ..named(budget, Allowance::Pods(allowed)) })
}

fn named(budget: &PodDisruptionBudget, allowance: Allowance) -> BudgetUpdate {
    BudgetUpdate {
        namespace: budget.namespace().unwrap_or_default(),
        name: budget.name_any(),
        allowance,
        message: None,
        granted: BTreeSet::new(),
    }
}
