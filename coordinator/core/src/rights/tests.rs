use super::*;
use crate::request::{Drain, Restart};

fn request(kind: Kind) -> Request {
    Request { kind, reason: "test".into(), task_id: None, connection: Default::default() }
}

fn restart(handover: Option<bool>) -> Request {
    let components = vec!["kube-scheduler".to_owned()];
    request(Kind::Restart(Restart {
        components,
        wanted: false,
        machines: Vec::new(),
        gap: None,
        handover,
        assumed_leaders: Vec::new(),
    }))
}

fn drain(eviction: Eviction) -> Request {
    request(Kind::Drain(Drain { nodes: vec!["w1".into()], concurrency: 1, eviction }))
}

/// The rights without which it fails, and those that it should have.
fn words(request: &Request) -> (Vec<String>, Vec<String>) {
    let (must, should): (Vec<_>, Vec<_>) =
        needs(request, &Site::default(), |_| false).into_iter().partition(|need| need.without.is_none());
    let words = |needs: Vec<Need>| needs.iter().map(|need| need.right.to_string()).collect();
    (words(must), words(should))
}

#[test]
fn a_cordon_needs_its_nodes_and_no_lock() {
    let cordon = request(Kind::Cordon(OnNodes { nodes: vec!["w1".into()] }));
    assert_eq!(words(&cordon).0, ["list nodes", "get nodes", "patch nodes"]);
}

#[test]
fn a_restart_needs_the_lock_the_leases_of_the_site_and_the_readiness_of_its_apiservers() {
    let (must, should) = words(&restart(None));
    let lease = |verb: &str, name: &str| format!("{verb} leases.coordination.k8s.io {name} in kube-system");
    assert_eq!(
        must,
        [
            "list nodes".to_owned(),
            "create leases.coordination.k8s.io in kube-system".to_owned(),
            lease("get", "usher"),
            lease("update", "usher"),
            lease("patch", "usher"),
            "get nodes".to_owned(),
            "get /readyz".to_owned(),
            lease("get", "kube-controller-manager"),
            lease("get", "kube-scheduler"),
        ]
    );
    assert_eq!(
        should,
        [
            "list endpointslices.discovery.k8s.io in default".to_owned(),
            lease("watch", "kube-controller-manager"),
            lease("update", "kube-controller-manager"),
            lease("watch", "kube-scheduler"),
        ]
    );
    let without = words(&restart(Some(false))).1;
    assert!(
        without.iter().all(|right| right.starts_with("watch ") || right.starts_with("list ")),
        "without a hand-over no lease is written: {without:?}"
    );
}

#[test]
fn what_a_drain_may_do_decides_what_it_needs() {
    let has = |request: &Request, right: &str| words(request).0.iter().any(|found| found == right);
    let plain = drain(Eviction::default());
    assert!(
        has(&plain, "create pods/eviction") && !has(&plain, "delete pods") && !has(&plain, "patch deployments.apps")
    );
    let by_deletion = drain(Eviction { disable_eviction: true, ..Eviction::default() });
    assert!(has(&by_deletion, "delete pods") && !has(&by_deletion, "create pods/eviction"));
    let escalating = drain(Eviction { kill_after: Some(std::time::Duration::from_secs(9)), ..Eviction::default() });
    assert!(has(&escalating, "delete pods") && has(&escalating, "create pods/eviction"));
    let surging = drain(Eviction { surge: vec!["app=web".parse().unwrap()], ..Eviction::default() });
    assert!(has(&surging, "patch deployments.apps") && has(&surging, "get replicasets.apps"));
    let volumes = |request: &Request| words(request).1.iter().any(|right| right.contains("volumeattachments"));
    assert!(volumes(&plain) && !volumes(&drain(Eviction { wait_for_volumes: Some(false), ..Eviction::default() })));
}

#[test]
fn missing_rights_are_rules_that_can_be_pasted_into_a_role() {
    let rights: Vec<_> = needs(&restart(Some(false)), &Site::default(), |_| false)
        .into_iter()
        .map(|need| need.right)
        .filter(|right| !right.resource.contains("nodes") || right.verb == "get")
        .collect();
    assert_eq!(
        rules(&rights),
        [
            "rules of a ClusterRole:",
            "- nonResourceURLs: [\"/readyz\"]",
            "  verbs: [\"get\"]",
            "- apiGroups: [\"\"]",
            "  resources: [\"nodes\"]",
            "  verbs: [\"get\"]",
            "rules of a Role in default:",
            "- apiGroups: [\"discovery.k8s.io\"]",
            "  resources: [\"endpointslices\"]",
            "  verbs: [\"list\"]",
            "rules of a Role in kube-system:",
            "- apiGroups: [\"coordination.k8s.io\"]",
            "  resources: [\"leases\"]",
            "  verbs: [\"create\"]",
            "- apiGroups: [\"coordination.k8s.io\"]",
            "  resources: [\"leases\"]",
            "  resourceNames: [\"kube-controller-manager\"]",
            "  verbs: [\"get\", \"watch\"]",
            "- apiGroups: [\"coordination.k8s.io\"]",
            "  resources: [\"leases\"]",
            "  resourceNames: [\"kube-scheduler\"]",
            "  verbs: [\"get\", \"watch\"]",
            "- apiGroups: [\"coordination.k8s.io\"]",
            "  resources: [\"leases\"]",
            "  resourceNames: [\"usher\"]",
            "  verbs: [\"get\", \"patch\", \"update\"]",
        ]
    );
}

#[test]
fn the_manifest_grants_each_right_of_every_command_once() {
    let rights = of_everything(&Site::default());
    let manifest = manifest(&rights, "usher");
    assert_eq!(manifest.matches("kind: ClusterRole\n").count(), 2, "the role and its binding\n{manifest}");
    for part in ["pods/eviction", "kube-node-lease", "/version", "csinodes", "volumeattachments"] {
        assert_eq!(manifest.matches(part).count(), if part == "kube-node-lease" { 2 } else { 1 }, "{part}\n{manifest}");
    }
}
