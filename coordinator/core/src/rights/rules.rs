//! Rights as rules of RBAC, to be pasted into a Role.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::Right;

/// What rules of one Role share, and the verbs that differ.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule<'a> {
    verbs: Vec<&'a str>,
    group: &'a str,
    name: Option<&'a str>,
    is_path: bool,
    resources: Vec<&'a str>,
}

/// The rules that grant these rights: a line that says which Role they belong to, and under it the rules as YAML. Rules of the
/// cluster come first, then those of each namespace.
pub fn rules(rights: &[Right]) -> Vec<String> {
    let mut lines = Vec::new();
    for (namespace, rights) in by_namespace(rights) {
        lines.push(match namespace {
            None => "rules of a ClusterRole:".to_owned(),
            Some(namespace) => format!("rules of a Role in {namespace}:"),
        });
        lines.extend(yaml(&rights).lines().map(str::to_owned));
    }
    lines
}

/// Manifests that grant these rights to a group: for `kubectl apply -f`. Every Role is called `usher`.
pub fn manifest(rights: &[Right], group: &str) -> String {
    let mut text = String::new();
    for (namespace, rights) in by_namespace(rights) {
        let (kind, place) = match namespace {
            None => ("ClusterRole", String::new()),
            Some(namespace) => ("Role", format!("\n  namespace: {namespace}")),
        };
        let rules = yaml(&rights);
        let _ = write!(
            text,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: usher{place}\nrules:\n{rules}\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\nmetadata:\n  name: usher{place}\nroleRef:\n  \
             apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: usher\nsubjects:\n- apiGroup: rbac.authorization.k8s.io\n  \
             kind: Group\n  name: {group}\n"
        );
    }
    text
}

fn by_namespace(rights: &[Right]) -> BTreeMap<Option<&str>, Vec<&Right>> {
    let mut places: BTreeMap<Option<&str>, Vec<&Right>> = BTreeMap::new();
    for right in rights {
        places.entry(right.namespace.as_deref()).or_default().push(right);
    }
    places
}

/// Rules in as few entries as there are sets of verbs for a group.
fn yaml(rights: &[&Right]) -> String {
    let mut verbs: BTreeMap<(&str, Option<&str>, &str), BTreeSet<&str>> = BTreeMap::new();
    for right in rights {
        verbs.entry((right.group, right.name.as_deref(), right.resource)).or_default().insert(right.verb);
    }
    let mut rules: Vec<Rule<'_>> = Vec::new();
    for ((group, name, resource), verbs) in verbs {
        let verbs: Vec<_> = verbs.into_iter().collect();
        let is_path = resource.starts_with('/');
        let same =
            |rule: &&mut Rule<'_>| (rule.group, rule.name, rule.is_path, &rule.verbs) == (group, name, is_path, &verbs);
        match rules.iter_mut().find(same) {
            Some(rule) => rule.resources.push(resource),
            None => rules.push(Rule { verbs, group, name, is_path, resources: vec![resource] }),
        }
    }
    let mut text = String::new();
    for Rule { verbs, group, name, is_path, resources } in rules {
        match is_path {
            true => {
                let _ = writeln!(text, "- nonResourceURLs: {resources:?}");
            }
            false => {
                let _ = writeln!(text, "- apiGroups: [{group:?}]\n  resources: {resources:?}");
            }
        }
        if let Some(name) = name {
            let _ = writeln!(text, "  resourceNames: [{name:?}]");
        }
        let _ = writeln!(text, "  verbs: {verbs:?}");
    }
    text
}
