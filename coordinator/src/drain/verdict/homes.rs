//! Where the successors of pods could run.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use super::{
    fit::{NodeCapacity, Objection, PodRequirements},
    volumes::Volumes,
};
use crate::drain::select::PodFacts;

/// Why no other node takes a pod's successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Homeless {
    /// As `no other node takes it (2 not selected)`.
    pub(super) why: String,
    /// Whether that follows from selectors, taints and volumes, and not from how full or closed other nodes are now: then neither
    /// time, nor another pod's end, nor one more node of a kind that there is helps.
    pub(super) lasts: bool,
}

/// The nodes to which successors may go, and what they have against pods. The same operation closes some of them.
#[derive(Debug)]
pub(super) struct Homes<'s> {
    /// None if the nodes or their pods may not be listed.
    nodes: Option<&'s [NodeCapacity]>,
    by_name: HashMap<&'s str, &'s NodeCapacity>,
    closed: &'s BTreeSet<String>,
    volumes: &'s Volumes,
    /// What was found for pods without volumes, by their controller's UID: its pods are alike, unless a rollout is under way.
    /// Ten thousand pods of a hundred controllers need a hundred looks at each node.
    known: Mutex<HashMap<String, Vec<(PodRequirements, Tally)>>>,
}

/// What all nodes have against a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tally {
    objections: BTreeMap<Objection, usize>,
    /// Some nodes that would take it: at most two, since only one of them can be its own.
    takers: Vec<String>,
}

impl<'s> Homes<'s> {
    pub(super) fn among(nodes: Option<&'s [NodeCapacity]>, closed: &'s BTreeSet<String>, volumes: &'s Volumes) -> Self {
        let by_name = nodes.unwrap_or_default().iter().map(|node| (node.name.as_str(), node)).collect();
        Self { nodes, by_name, closed, volumes, known: Mutex::default() }
    }

    /// Why no node except `own` takes the pod's successor; None if one does, or the nodes are not known.
    pub(super) fn homeless(&self, pod: &PodFacts, requirements: &PodRequirements, own: &str) -> Option<Homeless> {
        let nodes = self.nodes?;
        let mut tally = self.tally(nodes, pod, requirements);
        if tally.takers.iter().any(|taker| taker != own) {
            return None;
        }
        if let Some(objection) = self.by_name.get(own).and_then(|node| self.objection(node, pod, requirements))
            && let Some(nodes) = tally.objections.get_mut(&objection)
        {
            *nodes -= 1;
        }
        tally.objections.retain(|_, nodes| *nodes > 0);
        let lasts = !tally.objections.is_empty() && tally.objections.keys().all(|objection| objection.lasts());
        let only_volume = tally.objections.keys().all(|objection| *objection == Objection::Volume);
        let counted: Vec<_> =
            tally.objections.iter().map(|(objection, nodes)| format!("{nodes} {}", objection.word())).collect();
        let counted = counted.join(", ");
        let why = match (counted.is_empty(), lasts) {
            (true, _) => "there is no other node".to_owned(),
            (false, true) if only_volume => format!("its volume is on {own}"),
            (false, true) => format!("no other node takes it ({counted})"),
            (false, false) => format!("no other node takes it now ({counted})"),
        };
        Some(Homeless { why, lasts })
    }

    /// Whether the scheduler may bind the pod's successor to its own node in spite of the cordon.
    pub(super) fn may_come_back(&self, pod: &PodFacts, requirements: &PodRequirements, own: &str) -> bool {
        let objects = self.by_name.get(own).is_some_and(|node| node.objects_for_good(requirements).is_some());
        pod.tolerates_cordon && !objects
    }

    fn tally(&self, nodes: &[NodeCapacity], pod: &PodFacts, requirements: &PodRequirements) -> Tally {
        let Some(owner) = pod.owner.as_ref().filter(|_| pod.claims.is_empty()) else {
            return self.count(nodes, pod, requirements);
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of_owner = known.entry(owner.uid.clone()).or_default();
        if let Some((_, tally)) = of_owner.iter().find(|(known, _)| known == requirements) {
            return tally.clone();
        }
        let tally = self.count(nodes, pod, requirements);
        of_owner.push((requirements.clone(), tally.clone()));
        tally
    }

    fn count(&self, nodes: &[NodeCapacity], pod: &PodFacts, requirements: &PodRequirements) -> Tally {
        let mut tally = Tally::default();
        for node in nodes {
            match self.objection(node, pod, requirements) {
                Some(objection) => *tally.objections.entry(objection).or_default() += 1,
                None => tally.takers.push(node.name.clone()),
            }
            if tally.takers.len() > 1 {
                break;
            }
        }
        tally
    }

    fn objection(&self, node: &NodeCapacity, pod: &PodFacts, requirements: &PodRequirements) -> Option<Objection> {
        if pod.claimed().any(|claim| self.volumes.can_be_used(&claim, node) == Some(false)) {
            return Some(Objection::Volume);
        }
        let closed = self.closed.contains(&node.name).then_some(Objection::Closed);
        node.objects_for_good(requirements).or(closed).or_else(|| node.objection(requirements))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::drain::select::{pod, replica_set};

    fn node(name: &str, spec: Value, labels: Value) -> NodeCapacity {
        let node = json!({
            "metadata": {"name": name, "labels": labels}, "spec": spec,
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "2", "pods": "9"}},
        });
        NodeCapacity::of(&serde_json::from_value(node).unwrap())
    }

    fn open(name: &str) -> NodeCapacity {
        node(name, json!({}), json!({"zone": name}))
    }

    fn cordoned(name: &str) -> NodeCapacity {
        node(name, json!({"unschedulable": true}), json!({"zone": name}))
    }

    fn facts() -> PodFacts {
        PodFacts { owner: Some(replica_set("r")), ..pod("a") }
    }

    fn requiring(spec: Value) -> PodRequirements {
        let mut whole = json!({"containers": [{"name": "a"}]});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        PodRequirements::of(&serde_json::from_value(json!({"metadata": {}, "spec": whole})).unwrap())
    }

    /// Why a pod of w1 has no home, and whether that lasts.
    fn told(nodes: &[NodeCapacity], closed: &[&str], requirements: Value) -> Option<(String, bool)> {
        let closed = closed.iter().map(ToString::to_string).collect();
        let volumes = Volumes::default();
        let homes = Homes::among(Some(nodes), &closed, &volumes);
        let found = homes.homeless(&facts(), &requiring(requirements), "w1");
        found.map(|homeless| (homeless.why, homeless.lasts))
    }

    fn asks(cpu: &str) -> Value {
        json!({"containers": [{"name": "a", "resources": {"requests": {"cpu": cpu}}}]})
    }

    #[test]
    fn what_other_nodes_have_against_a_pod_is_counted_and_only_what_lasts_is_for_good() {
        let to = |zone: &str| json!({"nodeSelector": {"zone": zone}});
        let gpu = || node("w3", json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}]}), json!({}));
        let because = |why: &str, lasts| Some((why.to_owned(), lasts));
        for (nodes, closed, requirements, expected) in [
            (vec![open("w1"), open("w2")], vec![], json!({}), None),
            (
                vec![open("w1"), cordoned("w2")],
                vec![],
                json!({}),
                because("no other node takes it now (1 closed)", false),
            ),
            (
                vec![open("w1"), open("w2")],
                vec!["w2"],
                json!({}),
                because("no other node takes it now (1 closed)", false),
            ),
            (vec![open("w1"), open("w2")], vec![], asks("3"), because("no other node takes it now (1 full)", false)),
            (vec![open("w1")], vec![], json!({}), because("there is no other node", false)),
            (vec![open("w1"), open("w2")], vec![], to("w1"), because("no other node takes it (1 not selected)", true)),
            (vec![open("w1"), gpu()], vec![], json!({}), because("no other node takes it (1 tainted)", true)),
            // That it is closed as well does not make it a place.
            (
                vec![open("w1"), cordoned("w2")],
                vec![],
                to("w1"),
                because("no other node takes it (1 not selected)", true),
            ),
            (
                vec![open("w1"), open("w2")],
                vec!["w2"],
                to("w1"),
                because("no other node takes it (1 not selected)", true),
            ),
            // One node that is only closed leaves hope.
            (
                vec![open("w1"), gpu(), cordoned("w2")],
                vec![],
                json!({}),
                because("no other node takes it now (1 tainted, 1 closed)", false),
            ),
        ] {
            assert_eq!(told(&nodes, &closed, requirements.clone()), expected, "{requirements}");
        }
    }

    #[test]
    fn a_volume_that_only_one_node_can_use_keeps_its_pod_there() {
        let volume = json!({
            "metadata": {"name": "pv-1"},
            "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["w1"]}]}
            ]}}},
        });
        let mut volumes = Volumes::default();
        volumes.bind(("web".into(), "data".into()), &serde_json::from_value(volume).unwrap());
        let (nodes, closed) = ([open("w1"), open("w2"), cordoned("w3")], BTreeSet::new());
        let homes = Homes::among(Some(&nodes), &closed, &volumes);
        let homeless = |claim: &str| {
            let with_claim = PodFacts { claims: vec![claim.into()], ..facts() };
            homes.homeless(&with_claim, &requiring(json!({})), "w1")
        };
        assert_eq!(homeless("data"), Some(Homeless { why: "its volume is on w1".into(), lasts: true }));
        assert_eq!(homeless("unknown"), None, "what is not known keeps nobody");
    }

    #[test]
    fn pods_of_one_controller_are_looked_at_once_and_others_apart() {
        let nodes = [open("w1"), open("w2")];
        let (closed, volumes) = (BTreeSet::new(), Volumes::default());
        let homes = Homes::among(Some(&nodes), &closed, &volumes);
        let tied = requiring(json!({"nodeSelector": {"zone": "w1"}}));
        for (requirements, own, expected) in [
            (requiring(json!({})), "w1", false),
            (tied.clone(), "w1", true),
            (tied, "w2", false),
            (requiring(json!({})), "w2", false),
        ] {
            assert_eq!(homes.homeless(&facts(), &requirements, own).is_some(), expected, "{own}");
        }
        assert_eq!(homes.known.lock().unwrap()["r"].len(), 2);
    }

    #[test]
    fn nothing_is_certain_where_the_nodes_are_not_known() {
        let (closed, volumes) = (BTreeSet::new(), Volumes::default());
        assert_eq!(Homes::among(None, &closed, &volumes).homeless(&facts(), &requiring(json!({})), "w1"), None);
    }
}
