//! What keeps a component from being restarted.

use super::*;

#[test]
fn a_restart_is_refused_when_a_gate_is_closed_and_says_what_would_open_it() {
    let scheduler = || Kind::Restart(restart(&["kube-scheduler"]));
    let apiserver = || Kind::Restart(restart(&["kube-apiserver"]));
    let cases: Vec<(&str, Kind, Change, &[&str])> = vec![
        (
            "unknown holder",
            scheduler(),
            Box::new(|facts| {
                let mut stranger = fixtures::holder("cp9");
                stranger.machine = None;
                facts.leaders.insert("kube-scheduler".into(), Leadership::Held(stranger));
            }),
            &["is led by \"cp9_", "--assume-leader kube-scheduler=MACHINE"],
        ),
        (
            "stale holder",
            scheduler(),
            Box::new(|facts| {
                facts.leaders.insert("kube-scheduler".into(), Leadership::Stale(fixtures::holder("cp1")));
            }),
            &["does not renew", "kube-scheduler=none"],
        ),
        (
            "another apiserver is down",
            apiserver(),
            Box::new(|facts| {
                let down = || Readiness::NotReady { message: "500 poststarthook/rbac failed".into() };
                facts.apiservers.insert("cp1".into(), down());
                facts.apiservers.insert("cp3".into(), down());
            }),
            &[
                "cp1 is not touched",
                "cp3: not ready: 500 poststarthook/rbac failed",
                "to restart it alone: usher agent restart NAME kube-apiserver",
            ],
        ),
        (
            "its own apiserver misses the etcd beside it, which a restart does not mend",
            apiserver(),
            Box::new(|facts| {
                let message = "500 etcd failed: reason withheld, etcd-readiness failed: reason withheld".into();
                facts.apiservers.insert("cp3".into(), Readiness::NotReady { message });
            }),
            &["the apiserver on cp3 is not ready, so cp3 is not touched"],
        ),
        (
            "silent agent",
            scheduler(),
            Box::new(|facts| {
                facts.machine_mut("cp3").agent =
                    AgentFacts::Silent { message: "connection refused".into(), hint: Some("is it running?".into()) };
            }),
            &["the agent on cp3 cannot be used", "connection refused", "is it running?"],
        ),
        (
            "held",
            scheduler(),
            Box::new(|facts| {
                facts.agent_mut("cp2").hold =
                    Some(Hold { path: "/etc/usher/hold".into(), text: "disk is being copied\n".into(), since: None });
            }),
            &["cp2 is held", "disk is being copied", "rm /etc/usher/hold"],
        ),
        (
            "held through its agent",
            scheduler(),
            Box::new(|facts| {
                let hold = OwnedHold { owner: "alice".into(), reason: "disk".into(), ..OwnedHold::default() };
                let agent = facts.agent_mut("cp2");
                agent.hold = Some(Hold { path: "/var/lib/usher-agent/holds.json".into(), ..Hold::default() });
                agent.holds = vec![hold];
            }),
            &["cp2 is held by alice until it is released: \"disk\"", "usher-agent hold release --owner \"alice\""],
        ),
        (
            "busy",
            scheduler(),
            Box::new(|facts| {
                facts.agent_mut("cp2").current_operation = Some(Task { id: "9x2mm.3".into(), ..Task::default() });
            }),
            &["busy with operation 9x2mm.3"],
        ),
        (
            "unit not managed",
            scheduler(),
            Box::new(|facts| facts.agent_mut("cp1").units.retain(|unit| !unit.name.contains("scheduler"))),
            &["does not manage kube-scheduler.service"],
        ),
        (
            "a static pod in place of the unit",
            scheduler(),
            Box::new(|facts| {
                facts.agent_mut("cp1").units.retain(|unit| !unit.name.contains("scheduler"));
                let pods = ["kube-system/kube-controller-manager-cp1", "kube-system/kube-scheduler-cp1"];
                let evidence = pods.map(|pod| ControlPlaneEvidence::StaticPod { pod: pod.into() });
                facts.machine_mut("cp1").control_plane_evidence = evidence.into();
            }),
            &[
                "kube-system/kube-scheduler-cp1 on cp1 is a static pod, and usher restarts units only",
                "move its manifest",
            ],
        ),
        (
            "masked while it runs",
            scheduler(),
            Box::new(|facts| unit_file(facts, "cp1", "kube-scheduler.service", "masked")),
            &["kube-scheduler.service on cp1 is masked", "systemctl unmask kube-scheduler.service"],
        ),
        (
            "its own apiserver is down",
            scheduler(),
            Box::new(|facts| {
                facts.apiservers.insert("cp3".into(), Readiness::NotReady { message: "500 etcd failed".into() });
            }),
            &["the apiserver on cp3 is not ready", "not touched"],
        ),
        (
            "unknown component",
            Kind::Restart(restart(&["kube-proxy"])),
            Box::new(|_| {}),
            &["kube-proxy", "components:"],
        ),
    ];
    for (what, request, change, expected) in cases {
        let mut facts = facts("cp1", "cp2");
        change(&mut facts);
        let text = refusal(request, &facts);
        for words in expected {
            assert!(text.contains(words), "{what}: {words:?} is not in\n{text}");
        }
        assert!(!text.contains("--override-blocker"), "a restart has no such flag, {what}:\n{text}");
    }
}

#[test]
fn a_restart_too_goes_only_to_the_machine_that_is_the_node_unless_its_kubelet_is_down() {
    let request = || Kind::Restart(restart(&["kube-scheduler"]));
    let mut facts = facts("cp1", "cp2");
    let mut node = facts.machine("w1").and_then(|machine| machine.node.clone()).unwrap();
    node.name = "cp3".into();
    node.boot_id = "of another machine".into();
    facts.machine_mut("cp3").node = Some(node);
    assert!(refusal(request(), &facts).starts_with("the agent of cp3 and its Node are not the same machine"));
    facts.node_mut("cp3").ready = "Unknown".into();
    make(&super::request(request()), &facts, &site()).unwrap();
}

#[test]
fn a_unit_file_that_systemd_has_not_read_is_named_before_the_restart() {
    let mut facts = facts("cp1", "cp2");
    let units = &mut facts.agent_mut("cp3").units;
    units.iter_mut().find(|unit| unit.name == "kube-scheduler.service").unwrap().needs_daemon_reload = true;
    let plan = make(&request(Kind::Restart(restart(&["kube-scheduler"]))), &facts, &site()).unwrap();
    let named: Vec<_> = plan.warnings.iter().filter(|warning| warning.contains("daemon-reload")).collect();
    assert_eq!(named.len(), 1);
    assert!(named[0].starts_with("the unit file of kube-scheduler.service on cp3 has changed"), "{}", named[0]);
}
