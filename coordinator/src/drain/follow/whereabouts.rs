//! Where the successors of moved pods run now.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serde::Serialize;

use crate::drain::{
    report::{DrainError, MovedPod},
    select::{PAGE, Phase, PodFacts, fold},
};

/// Where the successors of moved pods run. A best guess: the newest pods of the same controllers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Whereabouts {
    /// How many are bound to each node.
    pub by_node: BTreeMap<String, usize>,
    /// Successors that are not bound to a node yet.
    pub unscheduled: usize,
    /// Moved pods without a successor: of finished Jobs, of controllers that were scaled down, and bare pods.
    pub without_successor: usize,
}

/// Finds the successors of the moved pods.
///
/// # Errors
///
/// [`DrainError::Api`] if the API does not answer or refuses.
pub async fn whereabouts(client: &Client, moved: &[MovedPod]) -> Result<Whereabouts, DrainError> {
    let owned = || moved.iter().filter_map(|moved| Some((moved, moved.owner.as_ref()?)));
    let namespaces: BTreeSet<_> = owned().map(|(moved, _)| moved.pod.namespace.as_str()).collect();
    let owners: HashSet<_> = owned().map(|(_, owner)| &owner.uid).collect();
    let is_of_owners = |pod: &PodFacts| pod.owner.as_ref().is_some_and(|owner| owners.contains(&owner.uid));
    let mut present = Vec::new();
    for namespace in namespaces {
        let pods = Api::namespaced(client.clone(), namespace);
        let of_owners = fold(pods, ListParams::default().limit(PAGE), Vec::new(), |found, pod: Pod| {
            found.extend(Some(PodFacts::of(&pod)).filter(is_of_owners));
        });
        let doing = || format!("list the pods in {namespace}");
        present.extend(of_owners.await.map_err(|error| DrainError::before_anything(doing(), &error))?);
    }
    Ok(successors(moved, present))
}

fn successors(moved: &[MovedPod], mut present: Vec<PodFacts>) -> Whereabouts {
    let mut whereabouts = Whereabouts::default();
    let mut by_owner: BTreeMap<&str, Vec<&MovedPod>> = BTreeMap::new();
    for pod in moved {
        match &pod.owner {
            Some(owner) => by_owner.entry(&owner.uid).or_default().push(pod),
            None => whereabouts.without_successor += 1,
        }
    }
    // Newest first: a controller starts a successor after the deletion of its pod, later than all pods that were there before.
    present.sort_by_key(|pod| std::cmp::Reverse(pod.created));
    for (owner, moved) in by_owner {
        // Both times are the server's, so that this machine's clock does not matter.
        let first_requested = moved.iter().filter_map(|moved| moved.asked).min();
        let is_successor = |pod: &&PodFacts| {
            pod.owner.as_ref().is_some_and(|by| by.uid == owner)
                && pod.deletion.is_none()
                && pod.phase != Phase::Finished
                && first_requested.is_none_or(|requested| pod.created.is_none_or(|created| created >= requested))
        };
        // A successor that was moved again, as when its new node was the next one: its own successor stands for both.
        let again = |moved: &&&MovedPod| first_requested.zip(moved.created).is_some_and(|(first, made)| made >= first);
        let gone = moved.len() - moved.iter().filter(again).count();
        let found: Vec<_> = present.iter().filter(is_successor).take(gone).collect();
        whereabouts.without_successor += gone - found.len();
        for pod in found {
            match &pod.node {
                Some(node) => *whereabouts.by_node.entry(node.clone()).or_default() += 1,
                None => whereabouts.unscheduled += 1,
            }
        }
    }
    whereabouts
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::drain::{
        report::{Owner, PodRef},
        select::{pod, replica_set},
    };

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn owner(uid: &str) -> Option<Owner> {
        Some(replica_set(uid))
    }

    fn moved(owner: Option<Owner>, asked: i64) -> MovedPod {
        let pod = PodRef { namespace: "web".into(), name: "a".into(), uid: "u".into() };
        MovedPod { created: at(asked - 60), pod, owner, asked: at(asked) }
    }

    fn present(owner: Option<Owner>, node: Option<&str>, created: i64) -> PodFacts {
        PodFacts { owner, created: at(created), node: node.map(str::to_owned), ..pod("b") }
    }

    #[test]
    fn successors_are_the_newest_pods_of_the_same_controller() {
        let gone = [moved(owner("r1"), 100), moved(owner("r1"), 101), moved(owner("r2"), 100), moved(None, 100)];
        let now = vec![
            present(owner("r1"), Some("w9"), 50),
            present(owner("r1"), Some("w2"), 101),
            present(owner("r1"), Some("w3"), 102),
            present(owner("r2"), Some("w9"), 99),
            present(owner("r3"), Some("w9"), 105),
            present(None, Some("w9"), 105),
        ];
        let found = successors(&gone, now);
        assert_eq!(found.by_node, BTreeMap::from([("w2".into(), 1), ("w3".into(), 1)]));
        assert_eq!((found.unscheduled, found.without_successor), (0, 2));
    }

    #[test]
    fn a_successor_that_was_moved_again_counts_once() {
        let again = MovedPod { created: at(101), ..moved(owner("r1"), 200) };
        let found = successors(&[moved(owner("r1"), 100), again], vec![present(owner("r1"), Some("w1"), 200)]);
        assert_eq!((found.by_node, found.without_successor), (BTreeMap::from([("w1".into(), 1)]), 0));
    }

    #[test]
    fn a_successor_without_a_node_is_unscheduled() {
        let found = successors(&[moved(owner("r1"), 100)], vec![present(owner("r1"), None, 100)]);
        assert_eq!((found.unscheduled, found.without_successor), (1, 0));
    }
}
