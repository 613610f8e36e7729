//! Who leads.

use super::Subject;
use crate::{
    facts::leader::Leadership,
    plan::{reboot::hand_overs, step::Step},
    problem::Problem,
    request::Kind,
    site::Role,
    text,
};

/// Each elected component has a living leader on a machine that is known, or the operator has decided.
pub(super) fn are_known(subject: &Subject<'_>) -> Result<(), Problem> {
    if !subject.turn.control_plane || !subject.needs_agent() {
        return Ok(());
    }
    let decided = |component: &str| match &subject.request.kind {
        Kind::Restart(restart) => restart.assumed_leaders.iter().any(|assumed| assumed.component == component),
        _ => false,
    };
    for (component, leadership) in &subject.facts.leaders {
        if decided(component) {
            continue;
        }
        let message = match leadership {
            Leadership::Held(holder) if holder.machine.is_some() => continue,
            Leadership::Held(holder) if holder.rivals.is_empty() => {
                format!("{component} is led by {:?}, which is none of the control-plane machines", holder.identity)
            }
            Leadership::Held(holder) => format!(
                "{component} is led by {:?}, which several control-plane machines could be: {}",
                holder.identity,
                text::list(&holder.rivals)
            ),
            Leadership::Stale(holder) => format!(
                "the lease of {component} is held by {:?}, which does not renew it: nobody leads {component}",
                holder.identity
            ),
            Leadership::Free => format!("nobody leads {component}: its lease is free"),
            Leadership::Absent => format!("nobody leads {component}: it has no lease"),
        };
        let problem = Problem::refused(message).hints(in_the_cluster_file(component, leadership));
        return Err(match subject.restarts() {
            true => problem
                .hint(format!("to name the machine that goes last yourself: --assume-leader {component}=MACHINE"))
                .hint(format!("or, if none leads: --assume-leader {component}=none")),
            false => {
                problem.hint(format!("look at its instances: usher leaders; usher agent units {}", subject.name()))
            }
        });
    }
    Ok(())
}

/// What the site should say of a component whose leader cannot be told.
fn in_the_cluster_file(component: &str, leadership: &Leadership) -> Option<String> {
    match leadership {
        Leadership::Absent => Some(format!(
            "if it runs with --leader-elect=false: leader_election = false under [components.{component}] in the cluster file"
        )),
        Leadership::Held(holder) if !holder.rivals.is_empty() => {
            Some("give each machine a host name of its own, and restart its components".to_owned())
        }
        _ => None,
    }
}

/// Leadership would end with the machine, without a hand-over: it has moved there since the turn was planned, or nobody was active then
/// who could take it.
pub(super) fn were_handed_over(subject: &Subject<'_>) -> Result<(), Problem> {
    if !subject.turn.control_plane || !subject.step.is_some_and(|step| matches!(step, Step::Reboot { .. })) {
        return Ok(());
    }
    let machine = subject.name();
    for component in &subject.site.components {
        let keeps = matches!(component.role, Role::Elected { keeps_lease: true, .. });
        let leads = subject.facts.leaders.get(&component.name).and_then(Leadership::machine) == Some(machine);
        if keeps && leads && !subject.turn.leads.contains(&component.name) {
            return Err(Problem::refused(format!(
                "leadership of {} moved to {machine} during its turn and would end with it",
                component.name
            ))
            .hint("begin again: the order follows the leaders"));
        }
    }
    let Kind::Reboot(reboot) = &subject.request.kind else { return Ok(()) };
    for step in hand_overs(subject.machine, reboot, subject.facts, subject.site) {
        if let Step::HandOver { component, .. } = &step
            && !subject.turn.steps.contains(&step)
        {
            return Err(Problem::refused(format!(
                "{machine} leads {component}, and another instance can take it now, which none could when this turn was planned"
            ))
            .hint("begin again: it is handed over first"));
        }
    }
    Ok(())
}
