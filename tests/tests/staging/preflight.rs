//! What is looked at before anything is changed.

use http::Method;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Node};
use serde_json::json;
use usher_core::staging::{Finding, Look, Preflight};
use usher_testkit::apiserver::{
    Failure, Fault,
    fixtures::{daemon_set, deployment, node},
};

use super::pair::{Pair, rolled_out, without_agents};

/// What forbids the switch, as `look: sentence: details`.
fn forbidden(findings: &[Finding]) -> Vec<String> {
    let bad = findings.iter().filter(|finding| finding.forbids());
    bad.map(|finding| format!("{}: {}: {}", finding.look, finding.what, finding.details.join("; "))).collect()
}

#[tokio::test]
async fn two_clusters_that_are_alike_may_be_switched() {
    let pair = Pair::create();
    let findings = pair.preflight(&without_agents()).await;
    assert_eq!(forbidden(&findings), [""; 0]);
    assert_eq!(findings.len(), Look::ALL.len());
    // Nothing is changed by looking.
    assert_eq!((pair.target.writes(), pair.source.writes()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn whatever_the_target_lacks_is_named() {
    let pair = Pair::create();
    pair.target.add(node("w3").not_ready());
    pair.target.edit::<Node>("w2", json!({"spec": {"unschedulable": true}}));
    rolled_out(&pair.target, "web/front", 1);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "main:2"}]}}}});
    pair.source.edit::<Deployment>("web/front", image);
    pair.source.add(daemon_set("kube-system/cni")).add(deployment("db/store")).add(deployment("web/back"));
    pair.target.set_version("v1.36.0");
    let found = forbidden(&pair.preflight(&without_agents()).await);
    for (at, expected) in [
        "nodes: 2 of 3 Nodes are not Ready and schedulable: w2 is cordoned; w3 is not Ready: NodeStatusUnknown",
        "workloads: 1 workload not rolled out: web/deployment/front: 1 of 2 pods are available",
        "versions: the versions are not known to be the same: b has v1.36.0; a has v1.37.2",
        "missing: 3 objects of a missing: namespace db; kube-system/daemonset/cni; web/deployment/back",
        "images: 1 workload with other images than in a: web/deployment/front: main registry.example/main:1 instead of main:2",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(found[at], expected, "{found:#?}");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[tokio::test]
async fn an_apiserver_whose_etcd_does_not_answer_is_told_by_that_name() {
    let pair = Pair::create();
    let failed = Failure::new(500, "InternalError", "[+]ping ok\n[-]etcd failed: reason withheld");
    pair.target.inject(Fault::on(Method::GET, "/readyz").fail(failed).always());
    let found = forbidden(&pair.preflight(&without_agents()).await);
    assert!(found[0].starts_with("apiservers: 1 of 1 apiserver not ready") && found[0].contains("etcd"), "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn agents_that_do_not_answer_forbid_it_and_a_source_that_is_down_leaves_nothing_to_compare_with() {
    let pair = Pair::create();
    pair.source.set_reachable(false);
    let found = forbidden(&pair.preflight(&Preflight::default()).await);
    let looks: Vec<_> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(looks, ["agents", "versions", "missing", "images"], "{found:#?}");
    let ignore = vec![Look::Agents, Look::Versions, Look::Missing, Look::Images];
    assert_eq!(forbidden(&pair.preflight(&Preflight { ignore, ..Preflight::default() }).await), [""; 0]);
}
