//! What keeps a machine from being rebooted, and the operator's word that opens it.

use super::*;

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
fn the_operator_may_override_what_forbids_a_reboot_by_name() {
    let mut facts = facts("cp1", "cp2");
    facts.agent_mut("w1").blockers = vec![Blocker { name: "user:alice".into(), ..Blocker::default() }];
    let reboot = Reboot { override_blockers: vec!["user:alice".into()], ..reboot(&["w1"]) };
    assert!(make(&request(Kind::Reboot(reboot)), &facts, &site()).is_ok());
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
fn with_a_component_that_nobody_leads_no_control_plane_is_rebooted_and_the_instances_are_to_be_looked_at() {
    for (leadership, expected) in [
        (Leadership::Free, "nobody leads kube-scheduler: its lease is free\nlook at its instances: "),
        (
            Leadership::Stale(fixtures::holder("cp2")),
            "which does not renew it: nobody leads kube-scheduler\nlook at its instances: ",
        ),
        (Leadership::Absent, "leader_election = false under [components.kube-scheduler] in the cluster file"),
    ] {
        let mut facts = facts("cp1", "cp2");
        facts.leaders.insert("kube-scheduler".into(), leadership);
        let text = refusal(Kind::Reboot(reboot(&["cp3"])), &facts);
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        assert!(text.ends_with("usher leaders; usher agent units cp3"), "{text}");
        // That is a flag of a restart.
        assert!(!text.contains("--assume-leader"), "{text}");
        make(&request(Kind::Reboot(reboot(&["w1"]))), &facts, &site()).unwrap();
    }
}
