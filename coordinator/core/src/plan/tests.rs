//! Plans as an operator reads them, gates as an operator meets them, and what must hold for every plan.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::{
    fixtures::{CONTROL_PLANE, facts, site},
    *,
};
use crate::{
    facts::AgentFacts,
    facts::agent::{Hold, Inhibitor, Operation, RebootBudget, Session},
    facts::leader::Leadership,
    facts::{
        apiserver::Readiness,
        node::{CordonMark, FieldWriter},
    },
};

fn restart(components: &[&str]) -> RestartRequest {
    RestartRequest {
        components: components.iter().map(|&name| name.to_owned()).collect(),
        machines: Vec::new(),
        gap: Duration::from_secs(10),
        handover: true,
        assumed: Vec::new(),
    }
}

fn reboot(machines: &[&str]) -> RebootRequest {
    RebootRequest {
        machines: machines.iter().map(|&name| name.to_owned()).collect(),
        impolite: false,
        keep_cordoned: false,
        handover: true,
        override_blockers: Vec::new(),
    }
}

fn text(request: Request, facts: &Inventory) -> String {
    make(&request, &[], facts, &site()).unwrap().to_text(&site())
}

fn refusal(request: Request, facts: &Inventory) -> String {
    let Refusal { what, details, hints } = make(&request, &[], facts, &site()).unwrap_err();
    std::iter::once(what).chain(details).chain(hints).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_plan_of_all_three_components_reads_like_the_runbook() {
    let request = Request::Restart(restart(&["kube-apiserver", "kube-controller-manager", "kube-scheduler"]));
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
        text(Request::Reboot(reboot(&["w1"])), &facts("cp1", "cp2")),
        "  1  w1  cordon, drain, reboot, wait until Ready, uncordon\n"
    );
}

#[test]
fn workers_are_rebooted_before_control_planes_and_leaders_last() {
    assert_eq!(
        text(Request::Reboot(reboot(&["cp2", "cp1", "w2"])), &facts("cp1", "cp2")),
        "  1  w2   cordon, drain, reboot, wait until Ready, uncordon
  2  cp1  take out of the pool, reboot, wait until its units are healthy, put back into the pool  (leads kube-scheduler)
  3  cp2  stop kube-controller-manager, free its lease, wait for another leader, take out of the pool, reboot, wait until its units are healthy, put back into the pool  (leads kube-controller-manager)
"
    );
}

#[test]
fn without_depool_commands_the_plan_warns() {
    let site = Site { load_balancer: None, ..site() };
    let plan = make(&Request::Restart(restart(&["kube-apiserver"])), &[], &facts("cp1", "cp2"), &site).unwrap();
    assert!(plan.warnings[0].starts_with("no depool command for cp3, cp1 and cp2"), "{:?}", plan.warnings);
}

#[test]
fn without_a_hand_over_the_plan_tells_its_price() {
    let request = RestartRequest { handover: false, ..restart(&["kube-controller-manager"]) };
    let plan = make(&Request::Restart(request), &[], &facts("cp1", "cp2"), &site()).unwrap();
    assert_eq!(
        plan.warnings,
        ["kube-controller-manager keeps its lease when it ends: about 16 s without a leader (--handover=false)"]
    );
}

/// What is different from a site where all is well.
type Change = Box<dyn Fn(&mut Inventory)>;

#[test]
fn a_restart_is_refused_when_a_gate_is_closed_and_says_what_would_open_it() {
    let scheduler = || Request::Restart(restart(&["kube-scheduler"]));
    let apiserver = || Request::Restart(restart(&["kube-apiserver"]));
    let cases: Vec<(&str, Request, Change, &[&str])> = vec![
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
                facts.agent_mut("cp2").current_operation =
                    Some(Operation { id: "9x2mm.3".into(), ..Operation::default() });
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
            Request::Restart(restart(&["kube-proxy"])),
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
                let agent = facts.agent_mut("w1");
                agent.sessions.push(Session { id: "3".into(), user: "alice".into(), uid: 1000 });
                agent.inhibitors.push(Inhibitor {
                    what: "shutdown:sleep".into(),
                    who: "apt".into(),
                    why: "upgrading".into(),
                    mode: "block".into(),
                    ..Inhibitor::default()
                });
                agent.inhibitors.push(Inhibitor {
                    what: "shutdown".into(),
                    mode: "delay".into(),
                    ..Inhibitor::default()
                });
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
    ];
    for (what, machine, change, expected) in cases {
        let mut facts = facts("cp1", "cp2");
        change(&mut facts);
        let text = refusal(Request::Reboot(reboot(&[machine])), &facts);
        for words in expected {
            assert!(text.contains(words), "{what}: {words:?} is not in\n{text}");
        }
    }
}

#[test]
fn the_operator_may_override_what_forbids_a_reboot_by_name() {
    let mut facts = facts("cp1", "cp2");
    facts.agent_mut("w1").sessions.push(Session { id: "3".into(), user: "alice".into(), uid: 1000 });
    let request = RebootRequest { override_blockers: vec!["user:alice".into()], ..reboot(&["w1"]) };
    assert!(make(&Request::Reboot(request), &[], &facts, &site()).is_ok());
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
        let plan = make(&Request::Reboot(reboot(&["w1"])), &[], &facts, &site()).unwrap();
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
    let request = RestartRequest { assumed, ..restart(&["kube-scheduler"]) };
    let plan = make(&Request::Restart(request), &[], &facts, &site()).unwrap();
    assert_eq!(plan.turns.last().unwrap().machine, "cp1");
}

proptest! {
    /// Leaders move as they like between the turns: every machine is restarted once for each component, and whoever
    /// leads when a turn begins is not restarted while another is left.
    #[test]
    fn whoever_leads_is_restarted_last_however_leadership_moves(
        moves in prop::collection::vec((0..3usize, 0..3usize), 9)
    ) {
        let components = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        let request = Request::Restart(restart(&components));
        let mut done: Vec<TurnId> = Vec::new();
        for (scheduler, manager) in moves {
            let facts = facts(CONTROL_PLANE[scheduler], CONTROL_PLANE[manager]);
            let plan = make(&request, &done, &facts, &site()).unwrap();
            let next = &plan.turns[0];
            let component = next.component.as_deref().unwrap();
            let left = plan.turns.iter().filter(|turn| turn.component == next.component).count();
            let leader = facts.leaders.get(component).and_then(Leadership::machine);
            prop_assert!(left == 1 || leader != Some(next.machine.as_str()), "{component}: {} of {left}", next.machine);
            prop_assert!(!done.contains(&next.id()));
            done.push(next.id());
        }
        prop_assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), 9);
        prop_assert!(make(&request, &done, &facts("cp1", "cp1"), &site()).unwrap().turns.is_empty());
    }

    /// An apiserver that is down closes the gate for every other machine, whatever the order.
    #[test]
    fn no_machine_is_touched_while_the_apiserver_of_another_is_down(down in 0..3usize, scheduler in 0..3usize, manager in 0..3usize) {
        let mut facts = facts(CONTROL_PLANE[scheduler], CONTROL_PLANE[manager]);
        facts.apiservers.insert(CONTROL_PLANE[down].into(), Readiness::NotReady { message: "500".into() });
        for component in ["kube-apiserver", "kube-scheduler"] {
            match make(&Request::Restart(restart(&[component])), &[], &facts, &site()) {
                Ok(plan) => prop_assert_eq!(&plan.turns[0].machine, CONTROL_PLANE[down]),
                Err(refusal) => prop_assert!(refusal.what.contains("not ready")),
            }
        }
        for machine in CONTROL_PLANE {
            let planned = make(&Request::Reboot(reboot(&[machine])), &[], &facts, &site());
            prop_assert_eq!(planned.is_ok(), machine == CONTROL_PLANE[down]);
        }
    }
}
