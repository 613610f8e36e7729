//! Gates as an operator meets them: what closes them, and what they say would open them.

use super::*;

/// What is different from a site where all is well.
type Change = Box<dyn Fn(&mut Inventory)>;

/// The state of a unit's file on a machine.
fn unit_file(facts: &mut Inventory, machine: &str, unit: &str, state: &str) {
    let units = &mut facts.agent_mut(machine).units;
    units.iter_mut().find(|found| found.name == unit).unwrap().file_state = Some(state.into());
}

#[test]
fn a_machine_whose_component_will_not_start_is_rebooted_once_the_operator_has_named_it() {
    let mut facts = facts("cp1", "cp2");
    unit_file(&mut facts, "cp3", "kube-scheduler.service", "disabled");
    let reboot = Reboot { override_blockers: names(&["not-enabled:kube-scheduler.service"]), ..reboot(&["cp3"]) };
    let plan = make(&request(Kind::Reboot(reboot)), &facts, &site()).unwrap();
    let expected = "kube-scheduler.service on cp3 is disabled: it runs now and will not start after the boot";
    assert!(plan.warnings.iter().any(|warning| warning == expected), "{:?}", plan.warnings);
}

#[test]
fn a_masked_leader_is_not_stopped_for_a_hand_over_before_a_reboot() {
    let mut facts = facts("cp1", "cp2");
    unit_file(&mut facts, "cp2", "kube-controller-manager.service", "masked");
    let reboot =
        Reboot { override_blockers: names(&["not-enabled:kube-controller-manager.service"]), ..reboot(&["cp2"]) };
    let plan = make(&request(Kind::Reboot(reboot)), &facts, &site()).unwrap();
    assert!(!plan.turns[0].steps.iter().any(|step| matches!(step, Step::HandOver { .. })), "{:?}", plan.turns[0].steps);
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
                let down = || Readiness::NotReady { message: "500 etcd failed".into() };
                facts.apiservers.insert("cp1".into(), down());
                facts.apiservers.insert("cp3".into(), down());
            }),
            &["cp1 is not touched", "cp3: not ready: 500 etcd failed"],
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
    }
}

#[test]
fn a_reboot_is_refused_when_a_gate_is_closed_and_says_what_would_open_it() {
    let cases: Vec<(&str, &str, Change, &[&str])> = vec![
        (
            "cordoned by somebody else",
            "w1",
            Box::new(|facts| {
                let node = facts.node_mut("w1");
                node.unschedulable = true;
                node.cordoned_by = Some(FieldWriter { manager: "kubectl-cordon".into(), at: None });
            }),
            &["already cordoned, and not by usher", "kubectl-cordon", "usher reboot w1 --keep-cordoned"],
        ),
        (
            "out of service",
            "w1",
            Box::new(|facts| facts.node_mut("w1").taints.push("node.kubernetes.io/out-of-service:NoExecute".into())),
            &["declared powered off"],
        ),
        (
            "budget used up",
            "w1",
            Box::new(|facts| facts.agent_mut("w1").reboot_budget = RebootBudget { used: 4, allowed: 4 }),
            &["rebooted 4 times within a day", "budget_per_day"],
        ),
        (
            "polkit has no rule for the agent",
            "w1",
            Box::new(|facts| {
                facts.agent_mut("w1").reboot_refused =
                    Some("login1 would not let the agent reboot (CanReboot: no)".into());
            }),
            &["the agent on w1 may not reboot it", "CanReboot: no", "/usr/share/polkit-1/rules.d"],
        ),
        (
            "a component that is not enabled",
            "cp3",
            Box::new(|facts| unit_file(facts, "cp3", "kube-scheduler.service", "disabled")),
            &[
                "cp3 would come back without a part of its control plane",
                "kube-scheduler.service runs and is disabled: it will not start after the boot",
                "ssh cp3 systemctl enable kube-scheduler.service",
                "--override-blocker \"not-enabled:kube-scheduler.service\"",
            ],
        ),
        (
            "somebody is logged in, something inhibits",
            "w1",
            Box::new(|facts| {
                let blocker = |name: &str, message: &str| Blocker {
                    name: name.into(),
                    message: message.into(),
                    ..Blocker::default()
                };
                facts.agent_mut("w1").blockers = vec![
                    blocker("user:alice", "alice is logged in (session 3)"),
                    blocker("apt", "apt inhibits it: upgrading"),
                ];
            }),
            &[
                "alice is logged in",
                "apt inhibits it: upgrading",
                "--override-blocker \"user:alice\" --override-blocker \"apt\"",
            ],
        ),
        (
            "another apiserver is down",
            "cp3",
            Box::new(|facts| {
                facts.apiservers.insert("cp1".into(), Readiness::Unreachable { message: "refused".into() });
            }),
            &["cp1", "cp3 is not touched"],
        ),
        ("no such machine", "w9", Box::new(|_| {}), &["w9 is neither a Node"]),
        (
            "a control plane that nobody listed",
            "w1",
            Box::new(|facts| {
                let machine = facts.machine_mut("w1");
                machine.control_plane = true;
                machine.control_plane_evidence = vec![ControlPlaneEvidence::Unit { unit: "etcd.service".into() }];
            }),
            &[
                "w1 runs a part of the control plane",
                "etcd.service is active on it",
                "machines = [\"cp1\", \"cp2\", \"cp3\", \"w1\"]",
            ],
        ),
        (
            "another machine's agent",
            "w1",
            Box::new(|facts| facts.agent_mut("w1").boot_id = "0f0f0f0f-other".into()),
            &["the agent of w1 and its Node are not the same machine", "usher config check"],
        ),
        (
            "usher runs there",
            "w1",
            Box::new(|facts| facts.here = Some("boot-of-w1".into())),
            &["usher runs on w1", "run it on another machine", "--override-blocker runs-usher"],
        ),
        (
            "two Nodes fit",
            "w1",
            Box::new(|facts| facts.machine_mut("w1").rival_nodes = vec!["w1.a.example".into(), "w1.b.example".into()]),
            &["nobody can tell which Node w1 is", "w1.a.example, w1.b.example"],
        ),
    ];
    for (what, machine, change, expected) in cases {
        let mut facts = facts("cp1", "cp2");
        change(&mut facts);
        let text = refusal(Kind::Reboot(reboot(&[machine])), &facts);
        for words in expected {
            assert!(text.contains(words), "{what}: {words:?} is not in\n{text}");
        }
    }
}

#[test]
fn a_node_that_takes_no_pods_is_not_rebalanced() {
    let rebalance =
        || Kind::Rebalance(Rebalance { nodes: names(&["w1", "w2"]), concurrency: 1, ..Rebalance::default() });
    let mut cordoned = facts("cp1", "cp2");
    cordoned.node_mut("w2").unschedulable = true;
    assert_eq!(
        refusal(rebalance(), &cordoned),
        "w2 is cordoned and takes no pods\nif the cordon is no longer wanted: usher uncordon w2 -r REASON"
    );
    let mut away = facts("cp1", "cp2");
    away.node_mut("w1").ready = "Unknown".into();
    assert!(refusal(rebalance(), &away).starts_with("w1 is not Ready and takes no pods: "));
}

#[test]
fn the_operator_may_override_what_forbids_a_reboot_by_name() {
    let mut facts = facts("cp1", "cp2");
    facts.agent_mut("w1").blockers = vec![Blocker { name: "user:alice".into(), ..Blocker::default() }];
    let reboot = Reboot { override_blockers: vec!["user:alice".into()], ..reboot(&["w1"]) };
    assert!(make(&request(Kind::Reboot(reboot)), &facts, &site()).is_ok());
}

#[test]
fn at_first_every_machine_is_asked_and_later_only_the_next() {
    let reboot = request(Kind::Reboot(reboot(&["w1", "w2"])));
    let mut facts = facts("cp1", "cp2");
    let plan = make(&reboot, &facts, &site()).unwrap();
    facts.agent_mut("w2").hold = Some(Hold { path: "/etc/usher/hold".into(), ..Hold::default() });
    assert!(make(&reboot, &facts, &site()).unwrap_err().message.contains("w2 is held"));
    assert!(again(&reboot, &plan.turns, &facts, &site()).is_ok(), "w1 is next, and nothing forbids it");
    assert!(again(&reboot, &plan.turns[1..], &facts, &site()).unwrap_err().message.contains("w2 is held"));
}

#[test]
fn what_happened_during_the_drain_closes_the_gate_before_the_reboot() {
    let cases: Vec<(&str, &str, Change, &str)> = vec![
        ("all is well", "w1", Box::new(|facts| facts.node_mut("w1").unschedulable = true), ""),
        ("uncordoned by somebody else", "w1", Box::new(|_| {}), "w1 was uncordoned by somebody else"),
        (
            "another boot",
            "w1",
            Box::new(|facts| {
                facts.node_mut("w1").unschedulable = true;
                facts.node_mut("w1").boot_id = "of another machine".into();
            }),
            "are not the same machine",
        ),
        (
            "another apiserver went down",
            "cp3",
            Box::new(|facts| {
                facts.apiservers.insert("cp1".into(), Readiness::Unreachable { message: "refused".into() });
            }),
            "the apiserver on cp1 is not ready, so cp3 is not touched",
        ),
        (
            "leadership moved here",
            "cp3",
            Box::new(|facts| {
                let here = Leadership::Held(fixtures::holder("cp3"));
                facts.leaders.insert("kube-controller-manager".into(), here);
            }),
            "leadership of kube-controller-manager moved to cp3",
        ),
    ];
    for (what, machine, change, expected) in cases {
        let mut facts = facts("cp1", "cp2");
        let reboot = request(Kind::Reboot(reboot(&[machine])));
        let plan = make(&reboot, &facts, &site()).unwrap();
        let turn = &plan.turns[0];
        let step = turn.steps.iter().find(|step| step.is_irreversible()).unwrap();
        change(&mut facts);
        let closed = gates::before_irreversible(step, &reboot, turn, &facts, &site()).err();
        let message = closed.map(|problem| problem.message).unwrap_or_default();
        assert!(message.contains(expected) && message.is_empty() == expected.is_empty(), "{what}: {message:?}");
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
    make(&self::request(request()), &facts, &site()).unwrap();
}

#[test]
fn the_plan_says_that_the_api_goes_away_with_its_only_apiserver() {
    let mut facts = facts("cp1", "cp1");
    facts.machines.retain(|machine| !["cp2", "cp3"].contains(&machine.name.as_str()));
    facts.apiservers.retain(|machine, _| machine == "cp1");
    for kind in [Kind::Restart(restart(&["kube-apiserver"])), Kind::Reboot(reboot(&["cp1"]))] {
        let plan = make(&request(kind), &facts, &site()).unwrap();
        let told =
            plan.warnings.iter().filter(|warning| warning.starts_with("the API is away while the apiserver on cp1"));
        assert_eq!(told.count(), 1, "{:?}", plan.warnings);
    }
    let plan = make(&request(Kind::Restart(restart(&["kube-scheduler"]))), &facts, &site()).unwrap();
    assert!(!plan.warnings.iter().any(|warning| warning.contains("the API is away")), "{:?}", plan.warnings);
}

#[test]
fn a_control_plane_node_that_the_cluster_file_does_not_list_is_not_passed_over_in_silence() {
    let mut facts = facts("cp1", "cp2");
    facts.unlisted = names(&["cp4"]);
    let expected = "cp4 is labelled as control plane and not listed in the cluster file";
    let text = refusal(Kind::Restart(restart(&["kube-scheduler"])), &facts);
    assert!(text.starts_with(expected) && text.contains(r#"machines = ["cp1", "cp2", "cp3", "cp4"]"#), "{text}");
    assert!(text.contains("--nodes"), "{text}");
    assert!(refusal(Kind::Reboot(reboot(&["cp3"])), &facts).starts_with(expected));
    let named = Restart { machines: names(&["cp1"]), ..restart(&["kube-scheduler"]) };
    make(&request(Kind::Restart(named)), &facts, &site()).unwrap();
    make(&request(Kind::Reboot(reboot(&["w1"]))), &facts, &site()).unwrap();
}
