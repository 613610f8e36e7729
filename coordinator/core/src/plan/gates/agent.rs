//! What the machine's agent says of it.

use super::Subject;
use crate::{
    facts::{AgentFacts, ControlPlaneEvidence, agent::UnitStatus},
    plan::step::Step,
    problem::Problem,
    text,
};

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
    if let Some(hold) = status.holds.first() {
        return Err(Problem::refused(format!("{name} is held {}", hold.said()))
            .hint(format!("when the reason is gone: ssh {name} usher-agent hold release --owner {:?}", hold.owner)));
    }
    if let Some(hold) = status.held_by_file() {
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
            None if static_pod(subject).is_some() => {
                let pod = static_pod(subject).unwrap_or_default();
                return Err(Problem::refused(format!("{pod} on {name} is a static pod, and usher restarts units only"))
                    .hint(format!(
                        "let the kubelet restart it: move its manifest out of /etc/kubernetes/manifests on {name}, wait until the pod \
                         is gone, and move it back (kubeadm's place for manifests)"
                    )));
            }
            None => {
                return Err(Problem::refused(format!("the agent on {name} does not manage {unit}"))
                    .hint(format!("allow it in the agent's configuration on {name}: [units.{unit:?}]")));
            }
            Some(found) if found.load_state != "loaded" => {
                return Err(Problem::refused(format!("systemd on {name} has not loaded {unit}: {}", found.load_state)));
            }
            Some(found) if found.is_masked() => {
                return Err(Problem::refused(format!(
                    "{unit} on {name} is masked: once stopped it cannot be started again"
                ))
                .hint(format!("if it is to go on: ssh {name} systemctl unmask {unit}")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The static pod of the component that the turn is about, if its machine has one.
fn static_pod<'a>(subject: &'a Subject<'_>) -> Option<&'a str> {
    let component = subject.turn.target.component()?;
    subject.machine.control_plane_evidence.iter().find_map(|evidence| match evidence {
        ControlPlaneEvidence::StaticPod { pod } => {
            let (_, name) = pod.split_once('/')?;
            name.strip_prefix(component)?.starts_with('-').then_some(pod.as_str())
        }
        _ => None,
    })
}

/// login1 would let the agent reboot the machine. Otherwise it would be drained for nothing.
pub(super) fn may_reboot(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(status) = subject.machine.agent.status().filter(|_| subject.reboots()) else { return Ok(()) };
    let Some(why) = &status.reboot_refused else { return Ok(()) };
    let name = subject.name();
    Err(Problem::refused(format!("the agent on {name} may not reboot it")).detail(why.clone()).hint(format!(
        "is usher's rule there, and does polkit run?  ssh {name} 'ls /usr/share/polkit-1/rules.d \
         /etc/polkit-1/rules.d; systemctl status polkit'"
    )))
}

/// The site's components on the machine run after its boot as they do now, unless the operator has named those that do not.
pub(super) fn starts_its_units_at_boot(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(status) = subject.machine.agent.status().filter(|_| subject.reboots()) else { return Ok(()) };
    let (name, overridden) = (subject.name(), subject.request.override_blockers());
    let mut gone = Vec::new();
    for component in subject.site.components.iter().filter(|_| subject.machine.control_plane) {
        let unit = &component.unit;
        let state = status.unit(unit).and_then(UnitStatus::gone_after_boot);
        gone.extend(state.filter(|_| !overridden.contains(&override_of(unit))).map(|state| (unit, state)));
    }
    if gone.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::refused(format!("{name} would come back without a part of its control plane"));
    for (unit, state) in &gone {
        problem = problem.detail(format!("{unit} runs and is {state}: it will not start after the boot"));
    }
    let units: Vec<_> = gone.iter().map(|(unit, _)| unit.as_str()).collect();
    let verbs = if gone.iter().any(|(_, state)| *state == "masked") {
        "systemctl unmask and enable"
    } else {
        "systemctl enable"
    };
    let flags: Vec<_> = units.iter().map(|unit| format!("--override-blocker {:?}", override_of(unit))).collect();
    Err(problem
        .hint(format!("if they are to run: ssh {name} {verbs} {}", units.join(" ")))
        .hint(format!("to reboot it nevertheless: {}", flags.join(" "))))
}

/// What `--override-blocker` names to reboot a machine although this unit will not start after the boot.
fn override_of(unit: &str) -> String {
    format!("not-enabled:{unit}")
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
