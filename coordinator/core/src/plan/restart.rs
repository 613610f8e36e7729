//! Plans of `usher restart`: component by component, machine by machine, the leader last.

use super::{
    Plan, Refusal, Turn, TurnId,
    gates::{agent_is_willing, leaders_are_known, other_apiservers_are_ready},
    sequence::leader_last,
};
use crate::{
    facts::agent::UnitStatus,
    facts::leader::Leadership,
    facts::{Inventory, Machine},
    plan::step::Step,
    site::{Component, Role, Site},
    text,
};
use std::time::Duration;

/// What `usher restart` was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RestartRequest {
    /// The components, in this order.
    pub components: Vec<String>,
    /// Only on these machines; empty means on every control-plane machine.
    pub machines: Vec<String>,
    /// Wait between an apiserver that is ready again and the next one.
    pub gap: Duration,
    /// Hand over leases that their holders would keep.
    pub handover: bool,
    /// Leaders that the operator has named for elections without a living, known one.
    pub assumed: Vec<AssumedLeader>,
}

/// The operator's word on who leads a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumedLeader {
    /// The component.
    pub component: String,
    /// The machine that goes last; None if nobody leads.
    pub machine: Option<String>,
}

pub(super) fn plan(request: &RestartRequest, done: &[TurnId], facts: &Inventory, site: &Site) -> Result<Plan, Refusal> {
    let machines = targets(request, facts)?;
    let components = request.components.iter().map(|name| {
        site.component(name).ok_or_else(|| {
            let known: Vec<_> = site.components.iter().map(|component| component.name.as_str()).collect();
            Refusal::new(format!("{name:?} is no component of this site"))
                .hint(format!("components: {}", known.join(", ")))
        })
    });
    let components = components.collect::<Result<Vec<_>, _>>()?;

    let facts = &assume(facts, &request.assumed);
    let decided = |component: &str| request.assumed.iter().any(|assumed| assumed.component == component);
    leaders_are_known(facts, decided)?;
    let mut turns = Vec::new();
    for component in components {
        let left =
            machines.iter().filter(|machine| !done.contains(&(machine.name.clone(), Some(component.name.clone()))));
        let ordered = leader_last(left.map(|machine| machine.name.as_str()), Some(component), facts, site);
        for (at, machine) in ordered.iter().enumerate() {
            let more = at + 1 < ordered.len();
            turns.push(turn(machine, component, more, request, facts, site));
        }
    }
    for machine in &machines {
        agent_is_willing(machine)?;
    }
    for turn in &turns {
        unit_is_managed(turn, facts)?;
    }
    if let Some(next) = turns.first() {
        other_apiservers_are_ready(facts, &next.machine)?;
    }
    let warnings = warnings(&turns, request, site);
    Ok(Plan { turns, concurrency: None, warnings })
}

fn targets<'a>(request: &RestartRequest, facts: &'a Inventory) -> Result<Vec<&'a Machine>, Refusal> {
    let all: Vec<_> = facts.control_plane().collect();
    if all.is_empty() {
        return Err(Refusal::new("this site has no control-plane machines")
            .hint("name them in the cluster file: [control_plane] machines = [\"cp1\", \"cp2\", \"cp3\"]"));
    }
    for name in &request.machines {
        if !all.iter().any(|machine| &machine.name == name) {
            let known: Vec<_> = all.iter().map(|machine| machine.name.as_str()).collect();
            return Err(Refusal::new(format!("{name} is no control-plane machine"))
                .hint(format!("control-plane machines: {}", known.join(", "))));
        }
    }
    let wanted = |machine: &&Machine| request.machines.is_empty() || request.machines.contains(&machine.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// The facts with the operator's word on leaders put in.
fn assume(facts: &Inventory, assumed: &[AssumedLeader]) -> Inventory {
    let mut facts = facts.clone();
    for AssumedLeader { component, machine } in assumed {
        if let Some(Leadership::Held(holder) | Leadership::Stale(holder)) = facts.leaders.get_mut(component) {
            holder.machine.clone_from(machine);
        }
    }
    facts
}

/// The turn of one machine. `more` tells whether another machine follows with the same component.
fn turn(
    machine: &str,
    component: &Component,
    more: bool,
    request: &RestartRequest,
    facts: &Inventory,
    site: &Site,
) -> Turn {
    let restart = Step::Restart { component: component.name.clone(), unit: component.unit.clone() };
    let leads = facts.led_by(machine).into_iter().map(str::to_owned).collect();
    let mut steps = Vec::new();
    match &component.role {
        Role::ApiServer { .. } => {
            let balancer = site.load_balancer.as_ref();
            steps.extend(balancer.filter(|balancer| balancer.can_depool(machine)).map(|_| Step::Depool));
            steps.push(restart);
            steps.extend(balancer.filter(|balancer| balancer.can_pool(machine)).map(|_| Step::Pool));
            steps.push(Step::ProveControlPlane);
            if more && !request.gap.is_zero() {
                steps.push(Step::Gap { wait: request.gap });
            }
        }
        Role::Elected { keeps_lease, .. } => {
            if *keeps_lease && request.handover && can_hand_over(machine, component, facts) {
                let (component, unit) = (component.name.clone(), component.unit.clone());
                steps.push(Step::HandOver { component: component.clone(), unit: unit.clone() });
                steps.push(Step::Start { component, unit });
            } else {
                steps.push(restart);
            }
            steps.push(Step::ProveControlPlane);
        }
    }
    Turn { machine: machine.to_owned(), component: Some(component.name.clone()), leads, steps }
}

/// A hand-over needs a leader that lives, and somebody to hand over to.
pub(super) fn can_hand_over(machine: &str, component: &Component, facts: &Inventory) -> bool {
    let leads = facts.leaders.get(&component.name).and_then(Leadership::machine) == Some(machine);
    let stands_by = |other: &Machine| {
        let unit = other.agent.status().and_then(|status| status.unit(&component.unit));
        other.name != machine && unit.is_some_and(UnitStatus::is_active)
    };
    leads && facts.control_plane().any(stands_by)
}

/// The agent manages the unit, and systemd knows it.
fn unit_is_managed(turn: &Turn, facts: &Inventory) -> Result<(), Refusal> {
    let Some(status) = facts.machine(&turn.machine).and_then(|machine| machine.agent.status()) else { return Ok(()) };
    for step in &turn.steps {
        let (Step::Restart { unit, .. } | Step::HandOver { unit, .. }) = step else { continue };
        let machine = &turn.machine;
        match status.unit(unit) {
            None => {
                return Err(Refusal::new(format!("the agent on {machine} does not manage {unit}"))
                    .hint(format!("allow it in the agent's configuration on {machine}: [units.{unit:?}]")));
            }
            Some(found) if found.load_state != "loaded" => {
                return Err(Refusal::new(format!("systemd on {machine} has not loaded {unit}: {}", found.load_state)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn warnings(turns: &[Turn], request: &RestartRequest, site: &Site) -> Vec<String> {
    let mut warnings = Vec::new();
    let apiservers = turns.iter().filter(|turn| restarts_apiserver(turn, site));
    warnings.extend(pool_warning(apiservers.map(|turn| turn.machine.as_str()), site));
    for turn in turns {
        for step in &turn.steps {
            if let Step::Restart { component, .. } = step
                && turn.leads.contains(component)
                && let Some(Role::Elected { keeps_lease: true, .. }) =
                    site.component(component).map(|found| &found.role)
            {
                let why = if request.handover { "no other instance is active" } else { "--handover=false" };
                warnings.push(format!("{component} keeps its lease when it ends: about 16 s without a leader ({why})"));
            }
        }
    }
    if !request.machines.is_empty() {
        let names: Vec<_> = request.machines.iter().map(String::as_str).collect();
        warnings.push(format!("only {}: the other control-plane machines are left as they are", text::list(&names)));
    }
    warnings
}

/// A warning for machines whose apiserver goes down while a balancer may still send it requests.
pub(super) fn pool_warning<'a>(machines: impl IntoIterator<Item = &'a str>, site: &Site) -> Option<String> {
    let balancer = site.load_balancer.as_ref();
    if balancer.is_some_and(|balancer| balancer.shutdown_delay_covers_checks) {
        return None;
    }
    let bare: Vec<_> =
        machines.into_iter().filter(|machine| !balancer.is_some_and(|balancer| balancer.can_depool(machine))).collect();
    (!bare.is_empty()).then(|| {
        format!(
            "no depool command for {}: a load balancer that does not retry loses requests while an apiserver is down, \
             whatever the gap; name depool and pool under [load_balancer] in the cluster file",
            text::list(&bare)
        )
    })
}

fn restarts_apiserver(turn: &Turn, site: &Site) -> bool {
    let component = turn.component.as_deref().and_then(|name| site.component(name));
    component.is_some_and(|component| matches!(component.role, Role::ApiServer { .. }))
}
