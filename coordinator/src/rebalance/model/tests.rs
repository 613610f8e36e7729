//! The scheduler's hard rules, as they decide which pods move to an empty node.

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::*;

/// Where pods are at first: nodes w2 and w3. w1 is empty.
const W2: usize = 1;
const W3: usize = 2;

/// w1 and w2 in zone a, w3 in zone b; no node offers much.
fn nodes() -> Vec<Node> {
    let node = |name: &str, zone: &str| {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": zone}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}],
                       "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "20"}},
        }))
        .unwrap()
    };
    vec![node("w1", "a"), node("w2", "a"), node("w3", "b")]
}

/// A pod of the ReplicaSet `app`, with this in its spec.
fn pod(namespace: &str, app: &str, number: usize, node: usize, spec: &Value) -> (usize, Pod) {
    let mut pod = json!({
        "metadata": {
            "namespace": namespace, "name": format!("{app}-{number}-{node}"), "uid": format!("{app}-{number}-{node}"),
            "labels": {"app": app, "version": "2"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": app, "controller": true},
            ],
        },
        "spec": {"nodeName": "x", "containers": [{"name": "main"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    (node, serde_json::from_value(pod).unwrap())
}

/// Pods of `shop/web` with this in their specs: so many on w2 and w3.
fn web(spec: &Value, [on_w2, on_w3]: [usize; 2]) -> Vec<(usize, Pod)> {
    let on = |node, pods: usize| (0..pods).map(move |number| pod("shop", "web", number, node, spec));
    on(W2, on_w2).chain(on(W3, on_w3)).collect()
}

/// How many pods move to w1.
fn moves(pods: &[(usize, Pod)]) -> usize {
    let mut model = Model::of(Survey::of_pods(&nodes(), pods), &["w1".to_owned()].into());
    model.balance.plan(&[0], usize::MAX).len()
}

fn term(topology: &str, app: &str) -> Value {
    json!({"topologyKey": topology, "labelSelector": {"matchLabels": {"app": app}}})
}

fn affinity(kind: &str, term: Value) -> Value {
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
}

fn spread(topology: &str, more: Value) -> Value {
    let mut constraint = json!({
        "topologyKey": topology, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    });
    for (key, value) in more.as_object().unwrap() {
        constraint[key] = value.clone();
    }
    json!({"topologySpreadConstraints": [constraint]})
}

const HOST: &str = "kubernetes.io/hostname";

#[test]
fn pods_go_only_where_the_hard_rules_of_the_scheduler_let_them() {
    let none = json!({});
    let apart = |term: Value| affinity("podAntiAffinity", term);
    let near = |term: Value| affinity("podAffinity", term);
    let in_namespace = |mut term: Value, namespace: &str| {
        term["namespaces"] = json!([namespace]);
        term
    };
    let anywhere = |mut term: Value| {
        term["namespaceSelector"] = json!({});
        term
    };
    let db_on_w1 = || pod("shop", "db", 0, 0, &json!({}));
    for (what, spec, others, expected) in [
        ("no rule", none.clone(), vec![], 4),
        ("apart by node: one goes", apart(term(HOST, "web")), vec![], 1),
        ("apart by zone: the other one of the zone is in the way", apart(term("zone", "web")), vec![], 0),
        ("apart from what is there", apart(term(HOST, "db")), vec![db_on_w1()], 0),
        ("apart from what is elsewhere", apart(term(HOST, "cache")), vec![db_on_w1()], 4),
        ("apart in another namespace", apart(in_namespace(term(HOST, "db"), "other")), vec![db_on_w1()], 4),
        ("apart in namespaces that only the server knows", apart(anywhere(term(HOST, "db"))), vec![db_on_w1()], 0),
        ("what is there keeps apart", none.clone(), vec![pod("shop", "db", 0, 0, &apart(term(HOST, "web")))], 0),
        ("near what is there", near(term(HOST, "db")), vec![db_on_w1()], 4),
        ("near what is elsewhere", near(term(HOST, "cache")), vec![db_on_w1()], 0),
        ("near in namespaces that only the server knows", near(anywhere(term(HOST, "db"))), vec![db_on_w1()], 0),
        ("near its like in the zone", near(term("zone", "web")), vec![], 4),
        ("spread by node", spread(HOST, json!({})), vec![], 4),
        ("spread by zone: none from the other zone", spread("zone", json!({})), vec![], 2),
        ("spread by a label that w1 lacks", spread("rack", json!({})), vec![], 0),
        ("no such constraint", spread("rack", json!({"whenUnsatisfiable": "ScheduleAnyway"})), vec![], 4),
        ("selected elsewhere", json!({"nodeSelector": {"zone": "b"}}), vec![], 0),
    ] {
        let pods: Vec<_> = web(&spec, [6, 6]).into_iter().chain(others).collect();
        let fewest = if expected == 4 { 3..=4 } else { expected..=expected };
        assert!(fewest.contains(&moves(&pods)), "{what}: {}", moves(&pods));
    }
}

#[test]
fn a_spread_constraint_counts_the_pods_of_its_version_on_the_nodes_that_are_selected() {
    // Zone a has six pods, zone b has one.
    let zones = [6, 1];
    // Within the zone nothing changes but the node, and the skew is too large already.
    assert_eq!(moves(&web(&spread("zone", json!({})), zones)), 0);
    assert!(moves(&web(&spread("zone", json!({"maxSkew": 9})), zones)) > 0);
    let other_version = spread("zone", json!({"matchLabelKeys": ["version"]}));
    assert_eq!(moves(&web(&other_version, zones)), 0);
}

#[test]
fn nodes_with_other_taints_are_another_pool_and_closed_nodes_are_none() {
    let mut nodes = nodes();
    let taint = json!([{"key": "gpu", "effect": "NoSchedule"}]);
    let spec = |spec: Value| serde_json::from_value(spec).unwrap();
    nodes[W3].spec = spec(json!({"taints": taint}));
    let survey =
        |nodes: &[Node]| Survey::of_pods(nodes, &web(&json!({"tolerations": [{"operator": "Exists"}]}), [0, 12]));
    assert_eq!(needy(&survey(&nodes)), [""; 0], "w1 and w2 are as empty as one another");
    nodes[W3].spec = None;
    assert_eq!(needy(&survey(&nodes)), ["w1", "w2"]);
    nodes[W2].spec = spec(json!({"unschedulable": true}));
    assert_eq!(needy(&survey(&nodes)), ["w1"]);
}
