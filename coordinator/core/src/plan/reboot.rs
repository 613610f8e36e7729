//! Plans of `usher reboot`: workers in the order in which they were named, then control planes, leaders last.

use super::{
    Problem, Steps, Target, Turn, etcd, known, leads,
    restart::{
        can_hand_over, only_apiserver_warning, pool_warning, unasked_apiservers_warning, unreachable_apiserver_warnings,
    },
    sequence::leader_last,
    step::Step,
};
use crate::{
    facts::{Inventory, Machine, node::NodeFacts},
    request::Reboot,
    site::{Role, Site},
};

pub(super) fn turns(
    request: &Reboot,
    left: Option<&[Turn]>,
    facts: &Inventory,
    site: &Site,
) -> Result<(Vec<Turn>, Vec<String>), Problem> {
    let mut workers = Vec::new();
    let mut control_plane = Vec::new();
    for name in &request.machines {
        let planned = left.map(|left| left.iter().find(|turn| turn.machine() == name));
        let turn = match (planned, facts.machine(name)) {
            // It is done.
            (Some(None), _) => continue,
            // It is read when it is its turn.
            (Some(Some(planned)), None) => planned.clone(),
            (_, machine) => turn(known(name, machine)?, None, request, facts, site),
        };
        if turn.control_plane { control_plane.push(turn) } else { workers.push(turn) }
    }
    let order = leader_last(control_plane.iter().map(Turn::machine), None, facts, site);
    let order: Vec<_> = order.into_iter().map(str::to_owned).collect();
    control_plane.sort_by_key(|turn| order.iter().position(|name| name == turn.machine()));
    for (at, name) in order.iter().enumerate().filter(|_| hands_over(request, site)) {
        let still_to_go = order[at..].iter().map(String::as_str);
        if let (Some(to), Some(machine)) = (etcd::successor(name, still_to_go, facts), facts.machine(name)) {
            control_plane[at] = turn(machine, Some(to), request, facts, site);
        }
    }
    let turns: Vec<_> = workers.into_iter().chain(control_plane).collect();
    let warnings = warnings(&turns, request, facts, site);
    Ok((turns, warnings))
}

/// A machine's turn, as its runbook reads. `etcd_to` is the machine that gets the leadership of etcd from this one.
fn turn(machine: &Machine, etcd_to: Option<String>, request: &Reboot, facts: &Inventory, site: &Site) -> Turn {
    let node = machine.node.as_ref();
    let drained = node.is_some() && !request.impolite;
    let uncordoned = drained && node.is_some_and(uncordons);
    let balancer = site.load_balancer.as_ref().filter(|_| machine.control_plane);
    let can_depool = balancer.is_some_and(|balancer| balancer.can_depool(&machine.name));
    let can_pool = balancer.is_some_and(|balancer| balancer.can_pool(&machine.name));
    let by_command = balancer.is_some_and(|balancer| balancer.commands_for(&machine.name).pool.is_some());
    let steps = Steps::default()
        .when(drained, [Step::Preflight])
        .when(drained && node.is_some_and(|node| !node.unschedulable), [Step::Cordon { keep: false }])
        .when(drained, [Step::Drain])
        .all(hand_overs(machine, request, facts, site))
        .all(etcd_to.map(|to| Step::HandEtcdOver { to }))
        .when(can_depool, [Step::Depool])
        .then(Step::Reboot { drained })
        .when(machine.control_plane, [Step::ProveUnits])
        .when(facts.etcd.runs_on(&machine.name), [Step::ProveEtcd])
        .when(can_pool, [Step::Pool { by_command }])
        .when(machine.control_plane, [Step::ProveControlPlane { led: None }])
        .when(node.is_some(), [Step::ProveReady { cordoned: drained }])
        .when(uncordoned, [Step::Uncordon { only_ours: true }])
        .done();
    Turn {
        target: Target::machine_turn(&machine.name),
        control_plane: machine.control_plane,
        leads: leads(&machine.name, facts),
        steps,
    }
}

fn hands_over(request: &Reboot, site: &Site) -> bool {
    request.handover.unwrap_or(site.defaults.handover)
}

/// The leadership that would end with a machine although another instance can take it.
pub(super) fn hand_overs(machine: &Machine, request: &Reboot, facts: &Inventory, site: &Site) -> Vec<Step> {
    if !machine.control_plane || !hands_over(request, site) {
        return Vec::new();
    }
    let handed = site.components.iter().filter(|component| {
        matches!(component.role, Role::Elected { keeps_lease: true, .. })
            && can_hand_over(&machine.name, component, facts)
    });
    handed.map(|component| Step::HandOver { component: component.name.clone(), unit: component.unit.clone() }).collect()
}

/// A reboot removes its own cordon, and one left by an earlier reboot that did not finish. A cordon that somebody wanted for
/// its own sake stays, with or without usher's mark.
fn uncordons(node: &NodeFacts) -> bool {
    !node.unschedulable || node.mark.as_ref().is_some_and(|mark| mark.command == "reboot")
}

fn warnings(turns: &[Turn], request: &Reboot, facts: &Inventory, site: &Site) -> Vec<String> {
    let mut warnings = Vec::new();
    let control_plane = turns.iter().filter(|turn| turn.control_plane).map(Turn::machine);
    warnings.extend(pool_warning(control_plane, site));
    warnings.extend(only_apiserver_warning(turns, facts));
    warnings.extend(etcd::warnings(turns, facts, site));
    warnings.extend(unreachable_apiserver_warnings(turns, facts));
    warnings.extend(unasked_apiservers_warning(turns, site));
    for machine in turns.iter().filter_map(|turn| facts.machine(turn.machine())) {
        let units = machine.agent.status().map(|status| status.units.as_slice()).unwrap_or_default();
        for unit in units {
            let name = &machine.name;
            if !unit.is_active() {
                warnings.push(format!(
                    "{} on {name} is {} and is not waited for after the boot",
                    unit.name, unit.active_state
                ));
            }
            let Some(state) = unit.gone_after_boot() else { continue };
            let unit = &unit.name;
            warnings.push(format!("{unit} on {name} is {state}: it runs now and will not start after the boot"));
        }
        let Some(node) = &machine.node else { continue };
        if request.impolite {
            warnings.push(format!("{} is neither cordoned nor drained: its pods die with it", node.name));
        } else if node.unschedulable && !uncordons(node) {
            let whose = match &node.mark {
                Some(mark) => format!("{} by usher {} ({:?})", mark.by, mark.command, mark.reason),
                None => "somebody else".to_owned(),
            };
            warnings.push(format!("{} was cordoned by {whose} and stays cordoned", node.name));
        }
    }
    warnings
}
