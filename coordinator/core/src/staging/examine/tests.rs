use super::*;
use crate::facts::{Machine, agent::AgentStatus, node::NodeFacts};

fn id(text: &str) -> WorkloadId {
    let [namespace, name] = text.split('/').collect::<Vec<_>>()[..] else { panic!("{text}") };
    WorkloadId { namespace: namespace.to_owned(), kind: "deployment", name: name.to_owned() }
}

/// A cluster in which these Deployments run their first image.
fn side(name: &str, workloads: &[&str]) -> Side {
    let workload = Workload { images: BTreeMap::from([("main".to_owned(), "main:1".to_owned())]), unfinished: None };
    let workloads: BTreeMap<_, _> = workloads.iter().map(|text| (id(text), workload.clone())).collect();
    let namespaces = workloads.keys().map(|id| id.namespace.clone()).collect();
    Side {
        name: name.to_owned(),
        version: Ok("v1.31.4".to_owned()),
        workloads: Ok(Workloads { namespaces, workloads }),
    }
}

fn change(side: &mut Side, workload: &str, change: impl FnOnce(&mut Workload)) {
    change(side.workloads.as_mut().unwrap().workloads.get_mut(&id(workload)).unwrap());
}

fn node(name: &str, ready: &str, unschedulable: bool) -> Machine {
    let node = NodeFacts {
        name: name.to_owned(),
        uid: String::new(),
        control_plane: false,
        hostnames: Vec::new(),
        internal_ip: None,
        other_internal_ips: Vec::new(),
        ready: ready.to_owned(),
        ready_message: "NodeStatusUnknown".to_owned(),
        heartbeat: None,
        troubles: Vec::new(),
        boot_id: String::new(),
        kernel: String::new(),
        kubelet: String::new(),
        kube_proxy: String::new(),
        container_runtime: String::new(),
        unschedulable,
        mark: None,
        cordoned_by: None,
        taints: Vec::new(),
    };
    let agent = AgentFacts::Answers { status: Box::new(AgentStatus::default()) };
    Machine { name: name.to_owned(), node: Some(node), agent, ..Machine::default() }
}

/// What the looks find, `look: sentence: details` for each that is bad.
fn bad(
    facts: &Inventory,
    apiservers: &[(&str, Readiness)],
    target: &Side,
    source: &Side,
    policy: &Preflight,
) -> Vec<String> {
    let apiservers = apiservers.iter().map(|(name, readiness)| ((*name).to_owned(), readiness.clone())).collect();
    let findings = examine(facts, &apiservers, target, source, policy);
    assert_eq!(findings.iter().map(|finding| finding.look).collect::<Vec<_>>(), Look::ALL);
    let bad = findings.into_iter().filter(|finding| !finding.good);
    bad.map(|Finding { look, what, details, ignored, .. }| {
        let ignored = if ignored { " (ignored)" } else { "" };
        format!("{look}{ignored}: {what}: {}", details.join("; "))
    })
    .collect()
}

fn one_node() -> Inventory {
    Inventory { machines: vec![node("w1", "True", false)], ..Inventory::default() }
}

#[test]
fn two_clusters_that_are_alike_and_well_have_nothing_against_a_switch() {
    let (target, source) = (side("codfw", &["web/a", "extra/x"]), side("eqiad", &["web/a"]));
    let found = bad(&one_node(), &[("cp1", Readiness::Ready)], &target, &source, &Preflight::default());
    assert_eq!(found, [""; 0]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_each_thing_by_its_name() {
    let facts = Inventory {
        machines: vec![
            node("w1", "Unknown", false),
            node("w2", "True", true),
            Machine {
                agent: AgentFacts::Silent { message: "connection refused".to_owned(), hint: None },
                ..node("w3", "True", false)
            },
        ],
        ..Inventory::default()
    };
    let etcd = Readiness::NotReady { message: "500 etcd failed: reason withheld".to_owned() };
    let mut target = side("codfw", &["web/a", "web/b"]);
    target.version = Ok("v1.30.0".to_owned());
    change(&mut target, "web/a", |workload| workload.unfinished = Some("1 of 3 available".to_owned()));
    change(&mut target, "web/b", |workload| {
        workload.images.insert("main".to_owned(), "main:0".to_owned());
    });
    let source = side("eqiad", &["web/a", "web/b", "web/c", "db/d"]);
    assert_eq!(
        bad(&facts, &[("cp1", Readiness::Ready), ("cp2", etcd)], &target, &source, &Preflight::default()),
        [
            "nodes: 2 of 3 Nodes are not Ready and schedulable: w1 is not Ready: NodeStatusUnknown; w2 is cordoned",
            "apiservers: 1 of 2 apiservers not ready: cp2 not ready: 500 etcd failed: reason withheld",
            "agents: 1 of 3 agents do not answer: w3: connection refused",
            "workloads: 1 workload not rolled out: web/deployment/a: 1 of 3 available",
            "versions: the versions are not known to be the same: codfw has v1.30.0; eqiad has v1.31.4",
            "missing: 2 objects of eqiad missing: namespace db; web/deployment/c",
            "images: 1 workload with other images than in eqiad: web/deployment/b: main main:0 instead of main:1",
        ]
    );
}

#[test]
fn what_is_ignored_forbids_nothing_and_a_source_that_is_down_is_no_proof() {
    let target = side("codfw", &["web/a"]);
    let mut source = side("eqiad", &["web/a", "test/b"]);
    let policy = Preflight { ignore_namespaces: vec!["test".to_owned()], ..Preflight::default() };
    assert_eq!(bad(&one_node(), &[], &target, &source, &policy), [""; 0]);

    source.version = Err("no answer".to_owned());
    source.workloads = Err("no answer".to_owned());
    let policy = Preflight { ignore: vec![Look::Missing, Look::Images], ..Preflight::default() };
    let why = "what runs in eqiad is not known: no answer";
    assert_eq!(
        bad(&one_node(), &[], &target, &source, &policy),
        [
            "versions: the versions are not known to be the same: eqiad: no answer".to_owned(),
            format!("missing (ignored): the two cannot be compared: {why}"),
            format!("images (ignored): the two cannot be compared: {why}"),
        ]
    );
    let findings = examine(&one_node(), &BTreeMap::new(), &target, &source, &policy);
    assert_eq!(findings.iter().filter(|finding| finding.forbids()).count(), 1);
}
