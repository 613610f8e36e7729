//! Plans of `usher reboot` and the gates of `usher drain`: machine by machine, workers first, the control plane's leaders
//! last.

use super::{
    Plan, Refusal, Turn, TurnId,
    gates::{
        cordon_is_ours_or_none, leaders_are_known, node_is_in_service, other_apiservers_are_ready, reboot_is_allowed,
    },
    restart::{can_hand_over, pool_warning},
    sequence::leader_last,
};
use crate::{
    facts::node::NodeFacts,
    facts::{Inventory, Machine},
    plan::step::Step,
    site::{Role, Site},
};

/// What `usher reboot` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RebootRequest {
    /// The machines.
    pub machines: Vec<String>,
    /// Neither cordon nor drain: the pods die with the machine.
    pub impolite: bool,
    /// A node that somebody else cordoned is rebooted all the same, and stays cordoned.
    pub keep_cordoned: bool,
    /// Hand over leases that their holders would keep.
    pub handover: bool,
    /// Names of inhibitors and users (`user:NAME`) that do not count.
    pub override_blockers: Vec<String>,
}

pub(super) fn plan(request: &RebootRequest, done: &[TurnId], facts: &Inventory, site: &Site) -> Result<Plan, Refusal> {
    let mut workers = Vec::new();
    let mut control_plane = Vec::new();
    for name in &request.machines {
        let machine = known(name, facts)?;
        if done.contains(&(name.clone(), None)) {
            continue;
        }
        match machine.control_plane {
            true => control_plane.push(machine),
            false => workers.push(machine),
        }
    }
    if !control_plane.is_empty() {
        leaders_are_known(facts, |_| false)?;
    }
    let control_plane = leader_last(control_plane.iter().map(|machine| machine.name.as_str()), None, facts, site);
    let machines = workers.iter().map(|machine| machine.name.as_str()).chain(control_plane);
    let mut turns = Vec::new();
    for name in machines {
        let machine = known(name, facts)?;
        reboot_is_allowed(machine, &request.override_blockers)?;
        if let Some(node) = &machine.node {
            node_is_in_service(node)?;
            cordon_is_ours_or_none(node, request.keep_cordoned, "reboot")?;
        }
        turns.push(turn(machine, request, facts, site));
    }
    // With the first of them down the others must serve; those that come later are checked when it is their turn.
    if let Some(next) = turns.first()
        && facts.machine(&next.machine).is_some_and(|machine| machine.control_plane)
    {
        other_apiservers_are_ready(facts, &next.machine)?;
    }
    let warnings = warnings(&turns, request, facts, site);
    Ok(Plan { turns, concurrency: None, warnings })
}

/// The gates of `usher drain`, for the nodes whose turn is still to come.
pub(super) fn gates_for_drain(nodes: &[String], done: &[TurnId], facts: &Inventory) -> Result<(), Refusal> {
    for name in nodes.iter().filter(|name| !done.contains(&((*name).clone(), None))) {
        if let Some(node) = &known(name, facts)?.node {
            node_is_in_service(node)?;
        }
    }
    Ok(())
}

fn known<'a>(name: &str, facts: &'a Inventory) -> Result<&'a Machine, Refusal> {
    facts.machine(name).ok_or_else(|| {
        Refusal::new(format!("{name} is neither a Node of this cluster nor one of its control-plane machines"))
            .hint("see them: usher nodes")
    })
}

fn turn(machine: &Machine, request: &RebootRequest, facts: &Inventory, site: &Site) -> Turn {
    let mut steps = Vec::new();
    let polite_node = machine.node.as_ref().filter(|_| !request.impolite);
    if let Some(node) = polite_node {
        if !node.unschedulable {
            steps.push(Step::Cordon { keep: false });
        }
        steps.push(Step::Drain);
    }
    let balancer = site.load_balancer.as_ref().filter(|_| machine.control_plane);
    if machine.control_plane {
        for component in &site.components {
            let hand_over = matches!(component.role, Role::Elected { keeps_lease: true, .. })
                && request.handover
                && can_hand_over(&machine.name, component, facts);
            if hand_over {
                steps.push(Step::HandOver { component: component.name.clone(), unit: component.unit.clone() });
            }
        }
        steps.extend(balancer.filter(|balancer| balancer.can_depool(&machine.name)).map(|_| Step::Depool));
    }
    steps.push(Step::Reboot);
    if machine.control_plane {
        steps.push(Step::ProveUnits);
        steps.extend(balancer.filter(|balancer| balancer.can_pool(&machine.name)).map(|_| Step::Pool));
        steps.push(Step::ProveControlPlane);
    }
    if let Some(node) = &machine.node {
        steps.push(Step::ProveReady);
        if !request.impolite && uncordons(node) {
            steps.push(Step::Uncordon { only_ours: true });
        }
    }
    let leads = facts.led_by(&machine.name).into_iter().map(str::to_owned).collect();
    Turn { machine: machine.name.clone(), component: None, leads, steps }
}

/// A cordon that a reboot made is taken away after it, also one of an earlier reboot that did not come so far. A cordon that
/// somebody wanted for its own sake stays, be it with or without usher's mark.
fn uncordons(node: &NodeFacts) -> bool {
    !node.unschedulable || node.mark.as_ref().is_some_and(|mark| mark.command == "reboot")
}

fn warnings(turns: &[Turn], request: &RebootRequest, facts: &Inventory, site: &Site) -> Vec<String> {
    let mut warnings = Vec::new();
    let machines = turns.iter().filter_map(|turn| facts.machine(&turn.machine));
    let control_plane = machines.clone().filter(|machine| machine.control_plane).map(|machine| machine.name.as_str());
    warnings.extend(pool_warning(control_plane, site));
    for machine in machines {
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
