//! Gates: what must be true before a machine is touched. A gate that is closed says what forbids, since when, by whom, and
//! the command that would go on.

use serde::Serialize;

use crate::{
    facts::leader::Leadership,
    facts::node::NodeFacts,
    facts::{AgentFacts, Inventory, Machine},
    text,
};

/// Why usher will not begin a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{what}")]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// What forbids it, in one sentence.
    pub what: String,
    /// More of it, a line each.
    pub details: Vec<String>,
    /// What to do next, a line each.
    pub hints: Vec<String>,
}

impl Refusal {
    /// A refusal with nothing but its sentence.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), details: Vec::new(), hints: Vec::new() }
    }

    /// Adds a line of detail.
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds what to do next.
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.hints.push(line.into());
        self
    }
}

/// Each elected component has a living leader on a machine that is known, or the operator has decided.
pub(super) fn leaders_are_known(facts: &Inventory, decided: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    for (component, leadership) in &facts.leaders {
        if decided(component) {
            continue;
        }
        let problem = match leadership {
            Leadership::Held(holder) if holder.machine.is_some() => continue,
            Leadership::Held(holder) => {
                format!("{component} is led by {:?}, which is none of the control-plane machines", holder.identity)
            }
            Leadership::Stale(holder) => format!(
                "the lease of {component} is held by {:?}, which does not renew it: nobody leads {component}",
                holder.identity
            ),
            Leadership::Free => format!("nobody leads {component}: its lease is free"),
            Leadership::Absent => format!("nobody leads {component}: it has no lease"),
        };
        return Err(Refusal::new(problem)
            .hint(format!("to name the machine that goes last yourself: --assume-leader {component}=MACHINE"))
            .hint(format!("or, if none leads: --assume-leader {component}=none")));
    }
    Ok(())
}

/// Every apiserver but that of `machine` is ready.
pub(super) fn other_apiservers_are_ready(facts: &Inventory, machine: &str) -> Result<(), Refusal> {
    let down: Vec<_> =
        facts.apiservers.iter().filter(|(other, readiness)| *other != machine && !readiness.is_ready()).collect();
    if down.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = down.iter().map(|(name, _)| name.as_str()).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let mut refusal =
        Refusal::new(format!("the apiserver on {} {verb} not ready, so {machine} is not touched", text::list(&names)));
    for (name, readiness) in down {
        refusal = refusal.detail(format!("{name}: {readiness}"));
    }
    Err(refusal.hint("mend it first; a restart of it alone: usher restart kube-apiserver --nodes NAME -r REASON"))
}

/// The agent answers, and the node is neither held nor busy with another operation.
pub(super) fn agent_is_willing(machine: &Machine) -> Result<(), Refusal> {
    let name = &machine.name;
    let status = match &machine.agent {
        AgentFacts::Answers { status } => status,
        AgentFacts::Silent { message, hint } => {
            let refusal = Refusal::new(format!("the agent on {name} cannot be used")).detail(message.clone());
            return Err(match hint {
                Some(hint) => refusal.hint(hint.clone()),
                None => refusal,
            });
        }
        AgentFacts::NotAsked => return Err(Refusal::new(format!("the agent on {name} was not asked"))),
    };
    if let Some(hold) = &status.hold {
        let text = hold.text.lines().next().unwrap_or_default();
        return Err(Refusal::new(format!("{name} is held by the file {} on it: {text:?}", hold.path))
            .hint(format!("when the reason is gone: ssh {name} rm {}", hold.path)));
    }
    if let Some(operation) = &status.current_operation {
        return Err(Refusal::new(format!("{name} is busy with operation {}", operation.id))
            .detail(format!("asked for by {}: {:?}", operation.order.requester, operation.order.reason))
            .hint(format!("see it: usher agent status {name}")));
    }
    Ok(())
}

/// The agent may reboot its node: within its budget, and nothing on it forbids it that the operator has not overridden.
pub(super) fn reboot_is_allowed(machine: &Machine, overridden: &[String]) -> Result<(), Refusal> {
    agent_is_willing(machine)?;
    let Some(status) = machine.agent.status() else { return Ok(()) };
    let name = &machine.name;
    if status.reboot_budget.used >= status.reboot_budget.allowed {
        return Err(Refusal::new(format!(
            "{name} was rebooted {} within a day, and its agent allows no more than {}",
            text::count(status.reboot_budget.used as usize, "time"),
            status.reboot_budget.allowed
        ))
        .hint(format!("look why it is rebooted so often; the limit is reboot.budget_per_day in the agent's configuration on {name}")));
    }
    let users = status.sessions.iter().map(|session| {
        (format!("user:{}", session.user), format!("{} is logged in (session {})", session.user, session.id))
    });
    let inhibitors = status
        .inhibitors
        .iter()
        .filter(|inhibitor| inhibitor.mode == "block" && inhibitor.what.split(':').any(|what| what == "shutdown"))
        .map(|inhibitor| (inhibitor.who.clone(), format!("{} inhibits it: {}", inhibitor.who, inhibitor.why)));
    let blockers: Vec<_> = users.chain(inhibitors).filter(|(blocker, _)| !overridden.contains(blocker)).collect();
    if blockers.is_empty() {
        return Ok(());
    }
    let mut refusal = Refusal::new(format!("something on {name} forbids a reboot"));
    let mut flags: Vec<String> = Vec::new();
    for (blocker, why) in blockers {
        refusal = refusal.detail(why);
        let flag = format!("--override-blocker {blocker:?}");
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    Err(refusal.hint(format!("to reboot it all the same: {}", flags.join(" "))))
}

/// The Node is not cordoned by anybody else, unless the operator consents.
pub(super) fn cordon_is_ours_or_none(node: &NodeFacts, keep_cordoned: bool, verb: &str) -> Result<(), Refusal> {
    if !node.unschedulable || node.mark.is_some() || keep_cordoned {
        return Ok(());
    }
    let name = &node.name;
    let mut refusal = Refusal::new(format!("{name} is already cordoned, and not by usher"));
    if let Some(writer) = &node.cordoned_by {
        let when = writer.at.map(|at| format!(" at {at}")).unwrap_or_default();
        refusal = refusal.detail(format!("it was cordoned{when} with {}", writer.manager));
    }
    Err(refusal
        .hint(format!(
            "to {verb} it all the same and leave it cordoned afterwards: usher {verb} {name} --keep-cordoned -r REASON"
        ))
        .hint(format!("if the cordon is no longer wanted: usher uncordon {name} -r REASON")))
}

/// The machine is not declared to be off for good.
pub(super) fn node_is_in_service(node: &NodeFacts) -> Result<(), Refusal> {
    if !node.is_out_of_service() {
        return Ok(());
    }
    let name = &node.name;
    Err(Refusal::new(format!("{name} carries the taint node.kubernetes.io/out-of-service: it is declared powered off"))
        .hint(format!("if it is not: kubectl taint node {name} node.kubernetes.io/out-of-service-")))
}
