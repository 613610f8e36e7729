//! What the machine's agent says of it.

use super::Subject;
use crate::{facts::AgentFacts, plan::step::Step, problem::Problem, text};

/// The agent answers, and the machine is neither held nor busy with another operation.
pub(super) fn is_willing(subject: &Subject<'_>) -> Result<(), Problem> {
    if !subject.needs_agent() {
        return Ok(());
    }
    let name = subject.name();
    let status = match &subject.machine.agent {
        AgentFacts::Answers { status } => status,
        AgentFacts::Silent { message, hint } => {
            let problem = Problem::refused(format!("the agent on {name} cannot be used")).detail(message.clone());
            return Err(match hint {
                Some(hint) => problem.hint(hint.clone()),
                None => problem,
            });
        }
        AgentFacts::NotAsked => return Err(Problem::refused(format!("the agent on {name} was not asked"))),
    };
    if let Some(hold) = &status.hold {
        let first = hold.text.lines().next().unwrap_or_default();
        return Err(Problem::refused(format!("{name} is held by the file {} on it: {first:?}", hold.path))
            .hint(format!("when the reason is gone: ssh {name} rm {}", hold.path)));
    }
    if let Some(operation) = &status.current_operation {
        return Err(Problem::refused(format!("{name} is busy with operation {}", operation.id))
            .detail(format!("requested by {}: {:?}", operation.order.requester, operation.order.reason))
            .hint(format!("see it: usher agent status {name}")));
    }
    Ok(())
}

/// The agent manages the units that the turn restarts, and systemd has loaded them.
pub(super) fn manages_the_unit(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(status) = subject.machine.agent.status().filter(|_| subject.restarts()) else { return Ok(()) };
    let name = subject.name();
    for step in &subject.turn.steps {
        let (Step::Restart { unit, .. } | Step::HandOver { unit, .. }) = step else { continue };
        match status.unit(unit) {
            None => {
                return Err(Problem::refused(format!("the agent on {name} does not manage {unit}"))
                    .hint(format!("allow it in the agent's configuration on {name}: [units.{unit:?}]")));
            }
            Some(found) if found.load_state != "loaded" => {
                return Err(Problem::refused(format!("systemd on {name} has not loaded {unit}: {}", found.load_state)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The machine's agent allows one more reboot today.
pub(super) fn has_reboots_left(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(status) = subject.machine.agent.status().filter(|_| subject.reboots()) else { return Ok(()) };
    let (name, budget) = (subject.name(), status.reboot_budget);
    if budget.used < budget.allowed {
        return Ok(());
    }
    Err(Problem::refused(format!(
        "{name} was rebooted {} within a day, and its agent allows no more than {}",
        text::count(budget.used as usize, "time"),
        budget.allowed
    ))
    .hint(format!(
        "find out why it is rebooted so often; the limit is reboot.budget_per_day in the agent's configuration on {name}"
    )))
}

/// Nothing on the machine forbids a reboot that the operator has not overridden by name. What forbids it is the agent's
/// rule, since the agent will apply it.
pub(super) fn is_not_blocked(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(status) = subject.machine.agent.status().filter(|_| subject.reboots()) else { return Ok(()) };
    let overridden = subject.request.override_blockers();
    let blockers: Vec<_> = status.blockers.iter().filter(|blocker| !overridden.contains(&blocker.name)).collect();
    if blockers.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::refused(format!("something on {} forbids a reboot", subject.name()));
    let mut flags: Vec<String> = Vec::new();
    for blocker in blockers {
        problem = problem.detail(blocker.message.clone());
        let flag = format!("--override-blocker {:?}", blocker.name);
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    Err(problem.hint(format!("to reboot it nevertheless: {}", flags.join(" "))))
}
