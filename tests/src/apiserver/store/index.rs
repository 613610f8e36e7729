//! Where pods are, whose they are, and which of them are not at rest: kept right with each change, so that no control loop looks
//! at the pods of a whole cluster for the sake of a few.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Key, controller, is_ready, is_terminating};
use crate::apiserver::resource::PODS;

/// An index of the pods. Every set is in the order of the keys, as a list is.
#[derive(Default)]
pub(super) struct PodIndex {
    /// By the name of the node; those without one under an empty name.
    by_node: HashMap<String, BTreeSet<Key>>,
    /// By the uid of the controlling owner.
    by_owner: HashMap<String, BTreeSet<Key>>,
    /// Those that are on their way out or not Ready.
    restless: BTreeSet<Key>,
}

impl PodIndex {
    /// Takes over a change of an object: what it was and what it is.
    pub(super) fn note(&mut self, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        if key.resource != PODS {
            return;
        }
        let (node_before, node_after) = (before.map(node_of), after.map(node_of));
        if node_before != node_after {
            move_to(&mut self.by_node, key, node_before, node_after);
        }
        let (owner_before, owner_after) = (before.and_then(owner_of), after.and_then(owner_of));
        if owner_before != owner_after {
            move_to(&mut self.by_owner, key, owner_before, owner_after);
        }
        if after.is_some_and(|pod| is_terminating(pod) || !is_ready(pod)) {
            if !self.restless.contains(key) {
                self.restless.insert(key.clone());
            }
        } else {
            self.restless.remove(key);
        }
    }

    pub(super) fn on(&self, node: &str) -> impl Iterator<Item = &Key> {
        self.by_node.get(node).into_iter().flatten()
    }

    pub(super) fn count_on(&self, node: &str) -> usize {
        self.by_node.get(node).map_or(0, BTreeSet::len)
    }

    pub(super) fn owned_by(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.by_owner.get(uid).into_iter().flatten()
    }

    pub(super) fn restless(&self) -> impl Iterator<Item = &Key> {
        self.restless.iter()
    }
}

fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

fn owner_of(pod: &Value) -> Option<&str> {
    controller(pod)?["uid"].as_str()
}

fn move_to(index: &mut HashMap<String, BTreeSet<Key>>, key: &Key, from: Option<&str>, to: Option<&str>) {
    if let Some(from) = from
        && let Some(keys) = index.get_mut(from)
    {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(from);
        }
    }
    if let Some(to) = to {
        index.entry(to.to_owned()).or_default().insert(key.clone());
    }
}
