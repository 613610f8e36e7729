//! The scheduler's hard rules between pods, made countable: required affinity and anti-affinity, and spread constraints that
//! forbid.
//!
//! Anti-affinity works both ways: a pod does not go where pods are that keep away from it. What cannot be judged is judged
//! against the move: a namespace selector counts as all namespaces where pods keep apart, and as none where they stay near.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{PodAffinityTerm, TopologySpreadConstraint},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::core::{Selector, SelectorExt as _};
use usher_core::rebalance::{Law, Rule};

use super::{guest::Kind, survey::Survey};
use crate::drain::verdict::NodeCapacity;

/// The rules of some kinds of pods, and to whom they apply.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    /// The rules that each kind obeys, by the kind's index.
    pub(super) obeyed_by: Vec<Vec<usize>>,
    /// The rules that count the pods of each kind.
    pub(super) counting: Vec<Vec<usize>>,
}

impl Rules {
    /// The rules that pods of the kinds in `moving` must obey. `places` are the indices of the nodes that are places.
    pub(super) fn of(survey: &Survey, moving: &[bool], places: &[usize]) -> Self {
        let kinds = survey.kinds.len();
        let mut rules =
            Self { rules: Vec::new(), obeyed_by: vec![Vec::new(); kinds], counting: vec![Vec::new(); kinds] };
        let crowd = Crowd::of(survey);
        for (at, kind) in survey.kinds.iter().enumerate() {
            for term in &kind.apart {
                let matched = crowd.matched(term, kind, true);
                let others: Vec<_> = matched.iter().copied().filter(|other| moving[*other]).collect();
                if moving[at] {
                    rules.add(&crowd, Law::Apart, &term.topology_key, |_| true, &[at], &matched, places);
                }
                // The other way round; for pods that keep apart from their like that is the same rule.
                if others.iter().any(|other| *other != at) {
                    rules.add(&crowd, Law::Apart, &term.topology_key, |_| true, &others, &[at], places);
                }
            }
            if !moving[at] {
                continue;
            }
            for term in &kind.near {
                let matched = crowd.matched(term, kind, false);
                rules.add(&crowd, Law::Near, &term.topology_key, |_| true, &[at], &matched, places);
            }
            for constraint in &kind.spread {
                rules.spread(&crowd, at, constraint, places);
            }
        }
        rules
    }

    fn spread(&mut self, crowd: &Crowd<'_>, at: usize, constraint: &TopologySpreadConstraint, places: &[usize]) {
        let kind = &crowd.survey.kinds[at];
        let mut selector = constraint.label_selector.clone().unwrap_or_default();
        for key in constraint.match_label_keys.iter().flatten() {
            if let Some(value) = kind.labels.get(key) {
                selector.match_labels.get_or_insert_default().insert(key.clone(), value.clone());
            }
        }
        let matched = crowd.in_namespaces(&selector, |namespace| namespace == kind.namespace);
        let honours = |policy: &Option<String>, default: &str| policy.as_deref().unwrap_or(default) == "Honor";
        let selected = honours(&constraint.node_affinity_policy, "Honor");
        let tolerated = honours(&constraint.node_taints_policy, "Ignore");
        let counts = |node: &NodeCapacity| {
            (!selected || node.is_selected(&kind.requirements)) && (!tolerated || node.is_tolerated(&kind.requirements))
        };
        let law = Law::Spread {
            max_skew: u64::try_from(constraint.max_skew).unwrap_or(0),
            min_domains: constraint.min_domains.and_then(|least| usize::try_from(least).ok()).unwrap_or(0),
        };
        self.add(crowd, law, &constraint.topology_key, counts, &[at], &matched, places);
    }

    /// A rule that `obeying` obey and that counts `counted`, on the nodes that `counts` says.
    #[allow(clippy::too_many_arguments, reason = "a rule has as many sides")]
    fn add(
        &mut self,
        crowd: &Crowd<'_>,
        law: Law,
        topology: &str,
        counts: impl Fn(&NodeCapacity) -> bool,
        obeying: &[usize],
        counted: &[usize],
        places: &[usize],
    ) {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut of_nodes = Vec::with_capacity(crowd.survey.nodes.len());
        for node in &crowd.survey.nodes {
            let value = node.label(topology).filter(|_| counts(node));
            let next = numbers.len();
            of_nodes.push(value.map(|value| *numbers.entry(value).or_insert(next)));
        }
        let mut pods = vec![0; numbers.len()];
        for (node, number) in counted.iter().flat_map(|kind| &crowd.pods[*kind]) {
            if let Some(domain) = of_nodes[*node] {
                pods[domain] += number;
            }
        }
        let domains: Arc<[_]> = places.iter().map(|node| of_nodes[*node]).collect();
        let number = self.rules.len();
        self.rules.push(Rule::new(law, domains, pods));
        obeying.iter().for_each(|kind| self.obeyed_by[*kind].push(number));
        counted.iter().for_each(|kind| self.counting[*kind].push(number));
    }
}

/// How many pods of each kind each node has, and which kinds there are in a namespace.
struct Crowd<'s> {
    survey: &'s Survey,
    pods: Vec<HashMap<usize, u64>>,
    kinds_in: HashMap<&'s str, Vec<usize>>,
}

impl<'s> Crowd<'s> {
    fn of(survey: &'s Survey) -> Self {
        let mut pods = vec![HashMap::new(); survey.kinds.len()];
        for guest in &survey.guests {
            *pods[guest.kind].entry(guest.node).or_default() += 1;
        }
        let mut kinds_in: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, kind) in survey.kinds.iter().enumerate() {
            kinds_in.entry(&kind.namespace).or_default().push(at);
        }
        Self { survey, pods, kinds_in }
    }

    /// The kinds that a term of `kind` is about. `anywhere` says whether a namespace selector counts as all namespaces.
    fn matched(&self, term: &PodAffinityTerm, kind: &Kind, anywhere: bool) -> Vec<usize> {
        let Some(selector) = &term.label_selector else { return Vec::new() };
        let named = term.namespaces.as_deref().unwrap_or_default();
        let selects_namespaces = term.namespace_selector.is_some();
        let own = named.is_empty() && !selects_namespaces;
        self.in_namespaces(selector, |namespace| {
            (own && namespace == kind.namespace)
                || named.iter().any(|name| name == namespace)
                || (selects_namespaces && anywhere)
        })
    }

    fn in_namespaces(&self, selector: &LabelSelector, is_meant: impl Fn(&str) -> bool) -> Vec<usize> {
        // The server has checked it.
        let Ok(selector) = Selector::try_from(selector.clone()) else { return Vec::new() };
        let meant = self.kinds_in.iter().filter(|(namespace, _)| is_meant(namespace)).flat_map(|(_, kinds)| kinds);
        let mut kinds: Vec<_> =
            meant.copied().filter(|kind| selector.matches(&self.survey.kinds[*kind].labels)).collect();
        kinds.sort_unstable();
        kinds
    }
}
