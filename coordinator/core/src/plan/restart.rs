//! Plans of `usher restart`: component by component, machine by machine, the leader last.

use super::{Problem, Steps, Target, Turn, etcd, leads, sequence::leader_last, step::Step};
use crate::{
    facts::{Inventory, Machine, agent::UnitStatus, apiserver::Readiness, leader::Leadership},
    request::{AssumedLeader, Restart},
    site::{Component, Role, Site},
    text,
};

pub(super) fn turns(
    request: &Restart,
    left: Option<&[Turn]>,
    facts: &Inventory,
    site: &Site,
) -> Result<(Vec<Turn>, Vec<String>), Problem> {
    let machines = targets(request, facts)?;
    let components = match request.components.is_empty() && request.wanted {
        true => site.components.iter().collect(),
        false => request.components.iter().map(|name| component(name, site)).collect::<Result<Vec<_>, _>>()?,
    };
    // Once: a leader that has come alive since, which the first restarts bring about, is no mistake of the operator's.
    if left.is_none() {
        for assumed in &request.assumed_leaders {
            check_assumption(assumed, facts, site)?;
        }
    }
    let facts = &assume(facts, &request.assumed_leaders);
    let mut turns = Vec::new();
    for component in components {
        let is_left = |machine: &str| {
            left.is_none_or(|left| left.iter().any(|turn| turn.target == Target::instance(machine, &component.name)))
        };
        // Of a machine whose agent was heard at the first plan and is silent now nobody knows: its turn stays, and a gate says why
        // it cannot be.
        let was_wanted = |machine: &Machine| left.is_some() && machine.agent.status().is_none();
        let is_meant = |machine: &&&Machine| {
            is_left(&machine.name) && (!request.wanted || is_wanted(machine, component) || was_wanted(machine))
        };
        let names = machines.iter().filter(is_meant).map(|machine| machine.name.as_str());
        let mut ordered = leader_last(names, Some(component), facts, site);
        // A lease that is free, or that does not exist, has no holder to put the word into.
        if let Some(last) = word_on(component, &request.assumed_leaders, facts) {
            ordered.sort_by_key(|machine| *machine == last);
        }
        for (at, machine) in ordered.iter().enumerate() {
            let still_to_go = &ordered[at..];
            turns.push(turn(machine, component, still_to_go, request, facts, site));
        }
    }
    let warnings = warnings(&turns, request, facts, site);
    Ok((turns, warnings))
}

fn component<'a>(name: &str, site: &'a Site) -> Result<&'a Component, Problem> {
    site.component(name).ok_or_else(|| {
        let known: Vec<_> = site.components.iter().map(|component| component.name.as_str()).collect();
        Problem::refused(format!("{name:?} is no component of this site"))
            .hint(format!("components: {}", known.join(", ")))
    })
}

fn targets<'a>(request: &Restart, facts: &'a Inventory) -> Result<Vec<&'a Machine>, Problem> {
    let all: Vec<_> = facts.control_plane().collect();
    if all.is_empty() {
        return Err(Problem::refused("this site has no control-plane machines")
            .hint("name them in the cluster file: [control_plane] machines = [\"cp1\", \"cp2\", \"cp3\"]"));
    }
    for name in &request.machines {
        if !all.iter().any(|machine| &machine.name == name) {
            return Err(no_control_plane(name, &all));
        }
    }
    let wanted = |machine: &&Machine| request.machines.is_empty() || request.machines.contains(&machine.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Whether somebody on the machine waits for the component's restart.
fn is_wanted(machine: &Machine, component: &Component) -> bool {
    machine.agent.status().is_some_and(|status| status.wants_restart(&component.unit))
}

fn no_control_plane(name: &str, all: &[&Machine]) -> Problem {
    let known: Vec<_> = all.iter().map(|machine| machine.name.as_str()).collect();
    Problem::refused(format!("{name} is no control-plane machine"))
        .hint(format!("control-plane machines: {}", known.join(", ")))
}

/// The operator's word counts where the leader is unknown or dead, about a component and a machine that exist.
fn check_assumption(assumed: &AssumedLeader, facts: &Inventory, site: &Site) -> Result<(), Problem> {
    component(&assumed.component, site)?;
    if let Some(machine) = &assumed.machine {
        let all: Vec<_> = facts.control_plane().collect();
        if !all.iter().any(|known| &known.name == machine) {
            return Err(no_control_plane(machine, &all));
        }
    }
    match facts.leaders.get(&assumed.component).and_then(Leadership::machine) {
        Some(leader) if assumed.machine.as_deref() != Some(leader) => {
            Err(Problem::refused(format!("{} is led by {leader}, which renews its lease", assumed.component))
                .hint("leave --assume-leader out: it is for leaders that are unknown or dead"))
        }
        _ => Ok(()),
    }
}

/// The facts with the operator's word on leaders put in, where no leader is known to live.
fn assume(facts: &Inventory, assumed: &[AssumedLeader]) -> Inventory {
    let mut facts = facts.clone();
    for AssumedLeader { component, machine } in assumed {
        match facts.leaders.get_mut(component) {
            Some(Leadership::Held(holder)) if holder.machine.is_some() => {}
            Some(Leadership::Held(holder) | Leadership::Stale(holder)) => holder.machine.clone_from(machine),
            _ => {}
        }
    }
    facts
}

/// The machine that leads a component by the operator's word, unless another leader is known to live.
fn word_on<'a>(component: &Component, assumed: &'a [AssumedLeader], facts: &Inventory) -> Option<&'a str> {
    let word = assumed.iter().find(|assumed| assumed.component == component.name)?.machine.as_deref()?;
    facts.leaders.get(&component.name).and_then(Leadership::machine).is_none_or(|leader| leader == word).then_some(word)
}

/// The turn of one machine, as its runbook reads. `still_to_go` are this machine and those that follow with the same component.
fn turn(
    machine: &str,
    component: &Component,
    still_to_go: &[&str],
    request: &Restart,
    facts: &Inventory,
    site: &Site,
) -> Turn {
    let more = still_to_go.len() > 1;
    let hands_over = request.handover.unwrap_or(site.defaults.handover);
    let (name, unit) = (component.name.clone(), component.unit.clone());
    let leads = leads(machine, facts);
    let led = leads.contains(&name).then(|| name.clone());
    let steps = match &component.role {
        Role::ApiServer { .. } => {
            let balancer = site.load_balancer.as_ref();
            let can_depool = balancer.is_some_and(|balancer| balancer.can_depool(machine));
            let can_pool = balancer.is_some_and(|balancer| balancer.can_pool(machine));
            let by_command = balancer.is_some_and(|balancer| balancer.commands_for(machine).pool.is_some());
            let wait = request.gap.unwrap_or(site.defaults.gap);
            Steps::default()
                .when(can_depool, [Step::Depool])
                .then(Step::Restart { component: name.clone(), unit })
                .when(can_pool, [Step::Pool { by_command }])
                .then(Step::ProveControlPlane { led })
                .when(more && !wait.is_zero(), [Step::Gap { wait }])
        }
        Role::Etcd => {
            let to = etcd::successor(machine, still_to_go.iter().copied(), facts).filter(|_| hands_over);
            Steps::default()
                .all(to.map(|to| Step::HandEtcdOver { to }))
                .then(Step::Restart { component: name.clone(), unit })
                .when(facts.etcd.runs_on(machine), [Step::ProveEtcd])
                .then(Step::ProveControlPlane { led: None })
        }
        Role::Elected { keeps_lease, .. } => {
            let handed_over = *keeps_lease && hands_over && can_hand_over(machine, component, facts);
            let restart = match handed_over {
                true => vec![
                    Step::HandOver { component: name.clone(), unit: unit.clone() },
                    Step::Start { component: name.clone(), unit },
                ],
                false => vec![Step::Restart { component: name.clone(), unit }],
            };
            Steps::default().all(restart).then(Step::ProveControlPlane { led })
        }
        Role::Unelected => {
            Steps::default().then(Step::Restart { component: name.clone(), unit }).then(Step::ProveControlPlane { led })
        }
    };
    Turn { target: Target::instance(machine, name), control_plane: true, leads, steps: steps.done() }
}

/// A hand-over needs a leader that lives, and somebody to hand over to.
pub(super) fn can_hand_over(machine: &str, component: &Component, facts: &Inventory) -> bool {
    let leads = facts.leaders.get(&component.name).and_then(Leadership::machine) == Some(machine);
    let stands_by = |other: &Machine| {
        let unit = other.agent.status().and_then(|status| status.unit(&component.unit));
        other.name != machine && unit.is_some_and(UnitStatus::is_active)
    };
    // What is masked would stay down.
    let masked = facts
        .machine(machine)
        .and_then(|machine| machine.agent.status()?.unit(&component.unit))
        .is_some_and(UnitStatus::is_masked);
    leads && !masked && facts.control_plane().any(stands_by)
}

fn warnings(turns: &[Turn], request: &Restart, facts: &Inventory, site: &Site) -> Vec<String> {
    let mut warnings = Vec::new();
    let apiservers = turns.iter().filter(|turn| restarts_apiserver(turn, site));
    warnings.extend(pool_warning(apiservers.clone().map(Turn::machine), site));
    warnings.extend(only_apiserver_warning(&apiservers.cloned().collect::<Vec<_>>(), facts));
    let members = turns
        .iter()
        .filter(|turn| turn.target.component().and_then(|name| site.component(name)).is_some_and(Component::is_etcd));
    warnings.extend(etcd::warnings(&members.cloned().collect::<Vec<_>>(), facts, site));
    warnings.extend(unreachable_apiserver_warnings(turns, facts));
    warnings.extend(unasked_apiservers_warning(turns, site));
    for turn in turns {
        warnings.extend(stale_unit_file(turn, facts));
        for step in &turn.steps {
            if let Step::Restart { component, .. } = step
                && turn.leads.contains(component)
                && let Some(Role::Elected { keeps_lease: true, .. }) =
                    site.component(component).map(|found| &found.role)
            {
                let wanted = request.handover.unwrap_or(site.defaults.handover);
                let why = if wanted { "no other instance is active" } else { "--handover=false" };
                warnings.push(format!("{component} keeps its lease when it ends: about 16 s without a leader ({why})"));
            }
        }
    }
    if request.wanted {
        warnings.extend(unheard(facts));
        warnings.extend(of_no_component(facts, site));
    }
    if !request.machines.is_empty() {
        warnings.push(format!(
            "only {}: the other control-plane machines are left as they are",
            text::list(&request.machines)
        ));
    }
    warnings
}

/// Warnings for machines of which nobody knows what they want.
fn unheard(facts: &Inventory) -> Vec<String> {
    let silent = facts.control_plane().filter(|machine| machine.agent.status().is_none());
    silent.map(|machine| format!("the agent on {} is silent: what is wanted there is unknown", machine.name)).collect()
}

/// Warnings for units that are to be restarted and that no component of the site stands for.
fn of_no_component(facts: &Inventory, site: &Site) -> Vec<String> {
    let mut warnings = Vec::new();
    for machine in facts.control_plane() {
        let wanted = machine.agent.status().map(|status| status.wanted_restarts.as_slice()).unwrap_or_default();
        let others = wanted.iter().filter(|wanted| site.components.iter().all(|known| known.unit != wanted.unit));
        warnings.extend(others.map(|wanted| {
            let (name, unit) = (&machine.name, &wanted.unit);
            format!(
                "{unit} on {name} is wanted too, and is no component of this site: usher agent restart {name} {unit}"
            )
        }));
    }
    warnings
}

/// A warning for a turn that restarts a unit by a file that has changed since systemd read it.
fn stale_unit_file(turn: &Turn, facts: &Inventory) -> Option<String> {
    let status = facts.machine(turn.machine())?.agent.status()?;
    let unit = turn.steps.iter().find_map(|step| match step {
        Step::Restart { unit, .. } | Step::Start { unit, .. } => Some(unit),
        _ => None,
    })?;
    status.unit(unit).filter(|unit| unit.needs_daemon_reload)?;
    let machine = turn.machine();
    Some(format!(
        "the unit file of {unit} on {machine} has changed, and systemd will start the one before: ssh {machine} systemctl \
         daemon-reload"
    ))
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

/// A warning for turns that take away the only apiserver there is.
pub(super) fn only_apiserver_warning(turns: &[Turn], facts: &Inventory) -> Option<String> {
    let mut apiservers = facts.apiservers.keys();
    let (Some(only), None) = (apiservers.next(), apiservers.next()) else { return None };
    turns.iter().any(|turn| turn.machine() == only).then(|| {
        format!("the API is away while the apiserver on {only} is down: there is no other, and usher waits for it")
    })
}

/// Warnings for apiservers that only their own agents can ask.
pub(super) fn unreachable_apiserver_warnings(turns: &[Turn], facts: &Inventory) -> Vec<String> {
    let unreachable =
        facts.apiservers.iter().filter(|(_, readiness)| matches!(readiness, Readiness::ByItsAgent { .. }));
    let warnings = unreachable.map(|(machine, readiness)| format!("the apiserver on {machine} is {readiness}"));
    if turns.iter().any(|turn| turn.control_plane) { warnings.collect() } else { Vec::new() }
}

/// A warning for turns of a control plane whose apiservers usher was not told of: no gate asks for them.
pub(super) fn unasked_apiservers_warning(turns: &[Turn], site: &Site) -> Option<String> {
    let is_known = site.components.iter().any(Component::is_apiserver);
    (!is_known && turns.iter().any(|turn| turn.control_plane)).then(|| {
        "the cluster file has no kube-apiserver among its components, so nobody asks whether the others are ready before one goes \
         down; see: usher status"
            .to_owned()
    })
}

fn restarts_apiserver(turn: &Turn, site: &Site) -> bool {
    turn.target.component().and_then(|name| site.component(name)).is_some_and(Component::is_apiserver)
}
