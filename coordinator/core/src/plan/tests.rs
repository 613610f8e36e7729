//! Plans as an operator reads them, gates as an operator meets them, and what must hold for every plan.

mod assumed;
mod etcd;
mod fleet;
mod refusals;
mod warnings;

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
        local::{OwnedHold, WantedRestart},
        node::{CordonMark, FieldWriter},
    },
    request::{AssumedLeader, Connection, Eviction, OnNodes, Rebalance, Reboot, Restart},
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
        wanted: false,
    }
}

fn reboot(machines: &[&str]) -> Reboot {
    Reboot {
        machines: names(machines),
        impolite: false,
        keep_cordoned: false,
        handover: None,
        override_blockers: Vec::new(),
        rebalance: false,
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
fn what_is_wanted_is_planned_and_nothing_else() {
    let mut facts = facts("cp2", "cp3");
    let wanted = |unit: &str| WantedRestart { unit: unit.to_owned(), ..WantedRestart::default() };
    facts.agent_mut("cp1").wanted_restarts = vec![wanted("kube-scheduler.service"), wanted("kubelet.service")];
    facts.agent_mut("cp2").wanted_restarts = vec![wanted("kube-scheduler.service"), wanted("kube-apiserver.service")];
    facts.machine_mut("cp3").agent = AgentFacts::Silent { message: "gone".into(), hint: None };
    let all = Kind::Restart(Restart { wanted: true, ..restart(&[]) });
    assert_eq!(
        text(all.clone(), &facts),
        "\
kube-apiserver
  1  cp2  take out of the pool, restart, wait until healthy, put back into the pool  (leads kube-scheduler)
kube-scheduler
  2  cp1  restart, wait until healthy
  3  cp2  restart, wait until healthy, wait for a leader that renews  (leader, last)
Warning: the agent on cp3 is silent: what is wanted there is unknown
Warning: kubelet.service on cp1 is wanted too, and is no component of this site: usher agent restart cp1 kubelet.service
"
    );
    let one = Kind::Restart(Restart { wanted: true, ..restart(&["kube-apiserver"]) });
    assert_eq!(make(&request(one), &facts, &site()).unwrap().turns.len(), 1);

    // Somebody restarts the scheduler on cp1 past usher, and the agent on cp2 falls silent: its turn must not be forgotten.
    let left = make(&request(all.clone()), &facts, &site()).unwrap().turns;
    facts.agent_mut("cp1").wanted_restarts.clear();
    facts.machine_mut("cp2").agent = AgentFacts::Silent { message: "gone".into(), hint: None };
    let problem = again(&request(all), &left, &facts, &site()).unwrap_err();
    assert_eq!(problem.message, "the agent on cp2 cannot be used");
}

#[test]
fn a_long_plan_has_one_line_for_machines_that_are_treated_alike() {
    let nodes: Vec<_> = (1..=4000).map(|number| format!("w{number}")).chain(["cp1".to_owned()]).collect();
    let plan = text(Kind::Uncordon(OnNodes { nodes }), &facts("cp2", "cp3"));
    assert_eq!(plan, "1-4001  w[1-4000],cp1  uncordon\n");
}

#[test]
fn a_polite_reboot_cordons_drains_reboots_proves_and_uncordons() {
    assert_eq!(
        text(Kind::Reboot(reboot(&["w1"])), &facts("cp1", "cp2")),
        "  1  w1  cordon, drain, reboot, wait until Ready, uncordon\n"
    );
}

#[test]
fn nodes_are_rebalanced_one_after_another_in_the_order_in_which_they_were_named() {
    let rebalance = Rebalance { nodes: names(&["w2", "w1"]), concurrency: 1, ..Rebalance::default() };
    assert_eq!(
        text(Kind::Rebalance(rebalance.clone()), &facts("cp1", "cp2")),
        "  1  w2  move pods to it, one at a time\n  2  w1  move pods to it, one at a time\n"
    );
    let few = Rebalance { nodes: names(&["w1"]), max_moves: Some(5), concurrency: 3, ..rebalance };
    assert_eq!(text(Kind::Rebalance(few), &facts("cp1", "cp2")), "  1  w1  move pods to it, 3 at a time, 5 at most\n");
}

#[test]
fn a_reboot_is_followed_by_a_rebalance_only_if_that_is_wanted() {
    let follow =
        |rebalance| request(Kind::Reboot(Reboot { rebalance, ..reboot(&["w1"]) })).rebalance_of(names(&["w1"]));
    assert_eq!(follow(false), None);
    assert_eq!(follow(true).map(|next| next.command_line()).as_deref(), Some("usher rebalance w1 -r kernel"));
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
                Ok(plan) => {
                    prop_assert_eq!(component, "kube-apiserver", "no other restart mends it");
                    prop_assert_eq!(plan.turns[0].machine(), CONTROL_PLANE[down]);
                }
                Err(refusal) => prop_assert!(refusal.message.contains("not ready")),
            }
        }
        for machine in CONTROL_PLANE {
            let planned = make(&request(Kind::Reboot(reboot(&[machine]))), &facts, &site());
            prop_assert_eq!(planned.is_ok(), machine == CONTROL_PLANE[down]);
        }
    }
}
