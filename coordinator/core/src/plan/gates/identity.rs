//! Whether the machine behind the agent is the machine behind the Node, and whether the site knows what it is.

use super::Subject;
use crate::{
    facts::{Identity, Unproven},
    problem::Problem,
    request::Kind,
    text,
};

/// The agent and the Node's kubelet report the same boot: what is drained is what is rebooted. Two clusters may each have a
/// w1, and the cluster file and the kubeconfig may lead to different ones.
pub(super) fn is_its_node(subject: &Subject<'_>) -> Result<(), Problem> {
    if !subject.needs_agent() {
        return Ok(());
    }
    let name = subject.name();
    match subject.machine.identity() {
        // A kubelet that is down does not report the boot, and a restart may be what mends it.
        Identity::Differs { node_is_ready: false, .. } if subject.restarts() => Ok(()),
        Identity::Differs { agent, node, node_is_ready } => {
            let problem = Problem::refused(format!("the agent of {name} and its Node are not the same machine"))
                .detail(format!(
                    "its agent reports boot {}, its kubelet {}",
                    text::short_id(&agent),
                    text::short_id(&node)
                ));
            Err(match node_is_ready {
                true => problem.hint("see which cluster and which agents usher talks to: usher config check"),
                false => problem.hint(format!(
                    "the kubelet does not report at present; if it is down since a reboot: ssh {name} systemctl status kubelet"
                )),
            })
        }
        Identity::Unknown { because: because @ Unproven::SeveralNodes(_) } => {
            Err(Problem::refused(format!("nobody can tell which Node {name} is"))
                .detail(because.to_string())
                .hint("call the machine in the cluster file as its Node is called"))
        }
        Identity::Same | Identity::Unknown { .. } => Ok(()),
    }
}

/// Every machine of the control plane is known: of one that is not, neither the leases nor the apiserver nor its turn would be looked
/// after. Who names the machines of a restart has seen which there are.
pub(super) fn is_complete(subject: &Subject<'_>) -> Result<(), Problem> {
    let named = matches!(&subject.request.kind, Kind::Restart(restart) if !restart.machines.is_empty());
    let unlisted = &subject.facts.unlisted;
    if !subject.needs_agent() || !subject.turn.control_plane || unlisted.is_empty() || named {
        return Ok(());
    }
    let (belong, are) = if unlisted.len() == 1 { ("belongs", "is") } else { ("belong", "are") };
    let (names, listed) = (text::list(unlisted), &subject.site.control_plane);
    let problem = match listed.is_empty() {
        // Those with the label are known then.
        true => Problem::refused(format!("{names} {belong} to the control plane and {are} not labelled so"))
            .detail("an apiserver serves at the address of the Node".to_owned())
            .hint(with_the_label(unlisted)),
        false => {
            Problem::refused(format!("{names} {belong} to the control plane and {are} not listed in the cluster file"))
                .detail("by the label of the Node, or because an apiserver serves at its address".to_owned())
                .hint(format!("list them all: {}", in_the_list(listed, unlisted)))
        }
    };
    Err(match subject.restarts() {
        true => problem.hint("or name the machines that you mean: --nodes"),
        false => problem,
    })
}

/// What the operator consents to by name: the machine on which usher runs is rebooted.
const RUNS_USHER: &str = "runs-usher";

/// A machine is not rebooted from itself: usher would end in the middle of the turn, with the Node cordoned and the lock held.
pub(super) fn does_not_run_usher(subject: &Subject<'_>) -> Result<(), Problem> {
    let Some(here) = subject.facts.here.as_deref().filter(|_| subject.reboots()) else { return Ok(()) };
    let machine = subject.machine;
    let agent = machine.agent.status().map(|status| status.boot_id.as_str());
    let node = machine.node.as_ref().map(|node| node.boot_id.as_str());
    if ![agent, node].contains(&Some(here)) || subject.request.override_blockers().iter().any(|name| name == RUNS_USHER)
    {
        return Ok(());
    }
    let name = subject.name();
    Err(Problem::refused(format!("usher runs on {name}, and would end with it in the middle of its turn"))
        .hint("run it on another machine")
        .hint(format!("or reboot it from here and uncordon it by hand afterwards: --override-blocker {RUNS_USHER}")))
}

/// A machine that runs a part of the control plane is known to be one: else its leaders, its apiserver and its place in the
/// order would not be looked after.
pub(super) fn is_listed(subject: &Subject<'_>) -> Result<(), Problem> {
    let machine = subject.machine;
    if !subject.needs_agent() || !machine.control_plane || machine.listed {
        return Ok(());
    }
    let name = &machine.name;
    let problem = Problem::refused(format!("{name} runs a part of the control plane, and usher was not told so"))
        .details(machine.control_plane_evidence.iter().map(ToString::to_string));
    let itself = std::slice::from_ref(name);
    Err(match subject.site.control_plane.as_slice() {
        [] => problem
            .hint(format!("label its Node: {}", with_the_label(itself)))
            .hint("or name all control-plane machines in the cluster file: [control_plane] machines = [...]"),
        listed => problem.hint(format!("add it in the cluster file: {}", in_the_list(listed, itself))),
    })
}

/// The command that labels these Nodes as the control plane.
fn with_the_label(nodes: &[String]) -> String {
    format!("kubectl label node {} node-role.kubernetes.io/control-plane=", nodes.join(" "))
}

/// What the cluster file says with these machines beside those that it lists.
fn in_the_list(listed: &[String], more: &[String]) -> String {
    let all: Vec<_> = listed.iter().chain(more).map(|name| format!("{name:?}")).collect();
    format!("[control_plane] machines = [{}]", all.join(", "))
}
