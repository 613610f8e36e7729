//! Whether the machine behind the agent is the machine behind the Node.

use super::Subject;
use crate::{problem::Problem, text};

/// The agent and the Node's kubelet report the same boot: what is drained is what is rebooted. Two clusters may each have a
/// w1, and the cluster file and the kubeconfig may lead to different ones.
pub(super) fn is_its_node(subject: &Subject<'_>) -> Result<(), Problem> {
    if !subject.reboots() {
        return Ok(());
    }
    let (Some(node), Some(status)) = (&subject.machine.node, subject.machine.agent.status()) else { return Ok(()) };
    if node.boot_id.is_empty() || status.boot_id.is_empty() || node.boot_id == status.boot_id {
        return Ok(());
    }
    let name = subject.name();
    Err(Problem::refused(format!(
        "the agent of {name} and the Node {} are not known to be the same machine",
        node.name
    ))
    .detail(format!(
        "its agent (host name {}) reports boot {}, its kubelet {}",
        status.hostname,
        text::short_id(&status.boot_id),
        text::short_id(&node.boot_id)
    ))
    .hint("see what usher talks to: usher config check")
    .hint(format!("if the kubelet is down since a reboot: ssh {name} systemctl status kubelet")))
}
