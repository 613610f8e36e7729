//! Whether the machine behind the agent is the machine behind the Node, and whether the site knows what it is.

use super::Subject;
use crate::{
    facts::{Identity, Unproven},
    problem::Problem,
    text,
};

/// The agent and the Node's kubelet report the same boot: what is drained is what is rebooted. Two clusters may each have a
/// w1, and the cluster file and the kubeconfig may lead to different ones.
pub(super) fn is_its_node(subject: &Subject<'_>) -> Result<(), Problem> {
    if !subject.reboots() {
        return Ok(());
    }
    let name = subject.name();
    match subject.machine.identity() {
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

/// A machine that runs a part of the control plane is known to be one: else its leaders, its apiserver and its place in the
/// order would not be looked after.
pub(super) fn is_listed(subject: &Subject<'_>) -> Result<(), Problem> {
    let machine = subject.machine;
    if !subject.needs_agent() || !machine.control_plane || machine.listed {
        return Ok(());
    }
    let name = subject.name();
    let problem = Problem::refused(format!("{name} runs a part of the control plane, and usher was not told so"))
        .details(machine.control_plane_evidence.iter().map(ToString::to_string));
    Err(match subject.site.control_plane.as_slice() {
        [] => problem
            .hint(format!("label its Node: kubectl label node {name} node-role.kubernetes.io/control-plane="))
            .hint("or name all control-plane machines in the cluster file: [control_plane] machines = [...]"),
        listed => {
            let all: Vec<_> = listed.iter().map(String::as_str).chain([name]).map(|name| format!("{name:?}")).collect();
            problem.hint(format!("add it in the cluster file: [control_plane] machines = [{}]", all.join(", ")))
        }
    })
}
