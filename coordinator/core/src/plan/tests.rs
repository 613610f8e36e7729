//! Plans as an operator reads them, gates as an operator meets them, and what must hold for every plan.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    fixtures::{CONTROL_PLANE, facts, site},
    *,
};
use crate::{
    facts::{
        AgentFacts, ControlPlaneEvidence,
        agent::{Blocker, Hold, RebootBudget, Task},
        apiserver::Readiness,
        leader::Leadership,
        node::{CordonMark, FieldWriter},
    },
    request::{AssumedLeader, Connection, Eviction, OnNodes, Reboot, Restart},
};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn restart(components: &[&str]) -> Restart {
    Restart {
        components: names(components),
        machines: Vec::new(),
        gap: Some(Duration::from_secs(10)),
        handover: None,
        assumed_leaders: Vec::new(),
    }
}

fn reboot(machines: &[&str]) -> Reboot {
    Reboot {
        machines: names(machines),
        impolite: false,
        keep_cordoned: false,
        handover: None,
        override_blockers: Vec::new(),
        eviction: Eviction::default(),
    }
}

fn request(kind: Kind) -> Request {
    Request { kind, reason: "kernel".into(), task_id: None, connection: Connection::default() }
}

fn text(kind: Kind, facts: &Inventory) -> String {
    make(&request(kind), facts, &site()).unwrap().to_text(&site())
}

fn refusal(kind: Kind, facts: &Inventory) -> String {
    let problem = make(&request(kind), facts, &site()).unwrap_err();
    std::iter::once(problem.message).chain(problem.details).chain(problem.hints).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_plan_of_all_three_components_reads_like_the_runbook() {
    let request = Kind::Restart(restart(&["kube-apiserver", "kube-controller-manager", "kube-scheduler"]));
    assert_eq!(
        text(request, &facts("cp2", "cp3")),
        "\
kube-apiserver
  1  cp1  take out of the pool, restart, wait until healthy, put back into the pool, wait 10s
  2  cp2  take out of the pool, restart, wait until healthy, put back into the pool, wait 10s  (leads kube-scheduler)
  3  cp3  take out of the pool, restart, wait until healthy, put back into the pool  (leads kube-controller-manager)
kube-controller-manager
  4  cp1  restart, wait until healthy
  5  cp2  restart, wait until healthy
  6  cp3  stop kube-controller-manager, free its lease, wait for another leader, start, wait until healthy, wait for a leader that renews  (leader, last)
kube-scheduler
  7  cp1  restart, wait until healthy
  8  cp3  restart, wait until healthy
  9  cp2  restart, wait until healthy, wait for a leader that renews  (leader, last)
"
    );
}

#[test]
fn a_polite_reboot_cordons_drains_reboots_proves_and_uncordons() {
    assert_eq!(
        text(Kind::Reboot(reboot(&["w1"])), &facts("cp1", "cp2")),
        "  1  w1  cordon, drain, reboot, wait until Ready, uncordon\n"
    );
}

#[test]
fn workers_are_rebooted_before_control_planes_and_leaders_last() {
    assert_eq!(
        text(Kind::Reboot(reboot(&["cp2", "cp1", "w2"])), &facts("cp1", "cp2")),
        "  1  w2   cordon, drain, reboot, wait until Ready, uncordon
  2  cp1  take out of the pool, reboot, wait until its units are healthy, put back into the pool  (leads kube-scheduler)
  3  cp2  stop kube-controller-manager, free its lease, wait for another leader, take out of the pool, reboot, wait until its units are healthy, put back into the pool  (leads kube-controller-manager)
"
    );
}

#[test]
fn without_depool_commands_the_plan_warns() {
    let site = Site { load_balancer: None, ..site() };
    let plan = make(&request(Kind::Restart(restart(&["kube-apiserver"]))), &facts("cp1", "cp2"), &site).unwrap();
    assert!(plan.warnings[0].starts_with("no depool command for cp3, cp1 and cp2"), "{:?}", plan.warnings);
}

#[test]
fn without_a_hand_over_the_plan_tells_its_price() {
    let restart = Restart { handover: Some(false), ..restart(&["kube-controller-manager"]) };
    let plan = make(&request(Kind::Restart(restart)), &facts("cp1", "cp2"), &site()).unwrap();
    assert_eq!(
        plan.warnings,
        ["kube-controller-manager keeps its lease when it ends: about 16 s without a leader (--handover=false)"]
    );
}

/// What is different from a site where all is well.
type Change = Box<dyn Fn(&mut Inventory)>;

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
fn a_cordon_that_was_wanted_for_its_own_sake_stays() {
    for (command, uncordoned) in [("reboot", true), ("drain", false), ("cordon", false)] {
        let mut facts = facts("cp1", "cp2");
        let node = facts.node_mut("w1");
        node.unschedulable = true;
        node.mark = Some(CordonMark {
            operation: "4f7k2".into(),
            command: command.into(),
            by: "oncall@cumin1001".into(),
            reason: "disk".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
        });
        let plan = make(&request(Kind::Reboot(reboot(&["w1"]))), &facts, &site()).unwrap();
        let uncordons = plan.turns[0].steps.contains(&Step::Uncordon { only_ours: true });
        assert_eq!(uncordons, uncordoned, "{command}");
        assert_eq!(plan.warnings.is_empty(), uncordoned, "{command}: {:?}", plan.warnings);
    }
}

#[test]
fn a_leader_named_by_the_operator_goes_last() {
    let mut facts = facts("cp1", "cp2");
    let mut stranger = fixtures::holder("old-name");
    stranger.machine = None;
    facts.leaders.insert("kube-scheduler".into(), Leadership::Held(stranger));
    let assumed = vec![AssumedLeader { component: "kube-scheduler".into(), machine: Some("cp1".into()) }];
    let restart = Restart { assumed_leaders: assumed, ..restart(&["kube-scheduler"]) };
    let plan = make(&request(Kind::Restart(restart)), &facts, &site()).unwrap();
    assert_eq!(plan.turns.last().unwrap().machine(), "cp1");
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
fn a_later_machine_is_not_read_before_its_turn() {
    let reboot = request(Kind::Reboot(reboot(&["w1", "w2", "cp1"])));
    let mut facts = facts("cp2", "cp3");
    let plan = make(&reboot, &facts, &site()).unwrap();
    assert_eq!(scope_of_next(&reboot, &plan.turns).machines, ["w1".to_owned()].into());
    facts.machines.retain(|machine| machine.name == "w1");
    assert_eq!(again(&reboot, &plan.turns, &facts, &site()).unwrap().turns, plan.turns);
    assert!(scope_of_next(&reboot, &plan.turns[2..]).control_plane);
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
fn a_leader_that_lives_is_not_overruled_and_a_name_that_nobody_has_is_refused() {
    for (component, machine, expected) in [
        ("kube-scheduler", "cp2", "kube-scheduler is led by cp1, which renews its lease"),
        ("kube-scheduler", "cp9", "cp9 is no control-plane machine"),
        ("kube-schedular", "cp1", "\"kube-schedular\" is no component"),
    ] {
        let assumed = AssumedLeader { component: component.into(), machine: Some(machine.into()) };
        let restart = Restart { assumed_leaders: vec![assumed], ..restart(&["kube-scheduler"]) };
        let text = refusal(Kind::Restart(restart), &facts("cp1", "cp2"));
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn plans_of_nodes_alone_need_no_facts() {
    for kind in [Kind::Cordon(OnNodes { nodes: names(&["w1"]) }), Kind::Uncordon(OnNodes { nodes: names(&["w1"]) })] {
        assert!(request(kind).scope(|_| true).is_empty());
    }
}

proptest! {
    /// Leaders move as they like between the turns: every machine is restarted once for each component, and whoever
    /// leads when a turn begins is not restarted while another is left.
    #[test]
    fn whoever_leads_is_restarted_last_however_leadership_moves(
        moves in prop::collection::vec((0..3usize, 0..3usize), 9)
    ) {
        let components = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        let request = request(Kind::Restart(restart(&components)));
        let mut done: Vec<Target> = Vec::new();
        let mut plan = make(&request, &facts("cp1", "cp1"), &site()).unwrap();
        for (scheduler, manager) in moves {
            let facts = facts(CONTROL_PLANE[scheduler], CONTROL_PLANE[manager]);
            plan = again(&request, &plan.turns, &facts, &site()).unwrap();
            let next = plan.turns.remove(0);
            let component = next.target.component().unwrap();
            let more = plan.turns.iter().any(|turn| turn.target.component() == Some(component));
            let leader = facts.leaders.get(component).and_then(Leadership::machine);
            prop_assert!(!more || leader != Some(next.machine()), "{component}: {} goes too early", next.machine());
            prop_assert!(!done.contains(&next.target));
            done.push(next.target);
        }
        prop_assert_eq!(done.len(), 9);
        prop_assert!(plan.turns.is_empty());
    }

    /// An apiserver that is down closes the gate for every other machine, whatever the order.
    #[test]
    fn no_machine_is_touched_while_the_apiserver_of_another_is_down(down in 0..3usize, scheduler in 0..3usize, manager in 0..3usize) {
        let mut facts = facts(CONTROL_PLANE[scheduler], CONTROL_PLANE[manager]);
        facts.apiservers.insert(CONTROL_PLANE[down].into(), Readiness::NotReady { message: "500".into() });
        for component in ["kube-apiserver", "kube-scheduler"] {
            match make(&request(Kind::Restart(restart(&[component]))), &facts, &site()) {
                Ok(plan) => prop_assert_eq!(plan.turns[0].machine(), CONTROL_PLANE[down]),
                Err(refusal) => prop_assert!(refusal.message.contains("not ready")),
            }
        }
        for machine in CONTROL_PLANE {
            let planned = make(&request(Kind::Reboot(reboot(&[machine]))), &facts, &site());
            prop_assert_eq!(planned.is_ok(), machine == CONTROL_PLANE[down]);
        }
    }
}
