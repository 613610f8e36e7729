//! Proof that a rebooted machine is back: its units, and its Node.

use tokio::time::Instant;
use usher_common::chain;

use super::{
    Context, evidence,
    wait::{Look, until},
};
use crate::{cluster::NodeFacts, problem::Problem, site::Component, text};

/// Waits until each unit of the control plane is active on the machine, and its apiserver ready.
pub(super) async fn prove_units(context: &mut Context<'_>) -> Result<(), Problem> {
    let machine = context.machine();
    let site = &context.world.site;
    let agent = context.agent()?;
    let look = async || {
        let missing = match agent.status().await {
            Ok(status) => site
                .components
                .iter()
                .filter_map(|component| status.unit(&component.unit))
                .find(|unit| !unit.is_active())
                .map(|unit| format!("{} is {} ({})", unit.name, unit.active_state, unit.sub_state)),
            Err(error) => Some(chain(&error)),
        };
        Ok(missing.map_or(Look::Done(()), Look::NotYet))
    };
    let late = |missing| {
        Problem::timed_out(format!("{machine} has rebooted, but {missing}"))
            .hint(format!("look at it: usher agent units {machine}"))
    };
    until(site.defaults.ready_timeout, look, |why| context.waiting(why), late).await?;
    context.progress.stopped.clear();
    if site.components.iter().any(Component::is_apiserver) {
        evidence::await_apiserver(context).await?;
    }
    context.fact("units active, apiserver ready");
    Ok(())
}

/// Waits until the Node is back, and has been for the settle time without interruption.
pub(super) async fn prove_node(context: &mut Context<'_>, cordoned: bool) -> Result<(), Problem> {
    let machine = context.machine();
    let before = context.progress.node_before_reboot.clone().or_else(|| context.baseline.node.clone());
    let Some(before) = before else { return Ok(()) };
    let defaults = &context.world.site.defaults;
    let settle = defaults.settle;
    let mut proof = Heartbeat::default();
    let mut good_since: Option<Instant> = None;
    let look = async || {
        let doubt = doubt_about(context, &before).await?;
        proof.look(context).await;
        let now = Instant::now();
        if let Some(doubt) = doubt {
            good_since = None;
            return Ok(Look::NotYet(doubt));
        }
        let since = *good_since.get_or_insert(now);
        Ok(match settle.checked_sub(now - since).filter(|left| !left.is_zero()) {
            Some(left) => Look::Settling(settle, format!("Ready; watching for {}", text::took(left))),
            None if proof.is_given() => Look::Done(()),
            None => Look::Settling(settle, "Ready; waiting for its kubelet to renew its heartbeat".to_owned()),
        })
    };
    let late = |why| {
        let problem = Problem::timed_out(format!("{machine} has rebooted, but is not proved to be back: {why}"));
        match cordoned {
            true => problem.hint(format!("it stays cordoned; when it is well: usher uncordon {machine} -r REASON")),
            false => problem.hint("look at it: usher nodes"),
        }
    };
    until(defaults.ready_timeout, look, |why| context.waiting(why), late).await?;
    context.fact(format!("kubelet reported the new boot, Ready for {}", text::took(settle)));
    Ok(())
}

/// The kubelet's own lease since the new boot was seen: it must be renewed at least once more.
#[derive(Debug, Default)]
struct Heartbeat {
    last: Option<jiff::Timestamp>,
    renewed: bool,
    absent: bool,
}

impl Heartbeat {
    async fn look(&mut self, context: &Context<'_>) {
        match context.world.cluster.node_lease_renewed(context.node()).await {
            // Compared with itself only: the node's clock may be off before it has met its time server.
            Ok(Some(now)) => {
                self.renewed |= self.last.is_some_and(|last| last != now);
                self.last = Some(now);
            }
            Ok(None) => self.absent = true,
            Err(error) => tracing::debug!(%error, "heartbeat not read"),
        }
    }

    fn is_given(&self) -> bool {
        self.renewed || self.absent
    }
}

/// Why the Node is not yet taken to be back; None if it is.
async fn doubt_about(context: &Context<'_>, before: &NodeFacts) -> Result<Option<String>, Problem> {
    let (machine, node) = (context.machine(), context.node());
    let cluster = &context.world.cluster;
    let now = match cluster.node(node).await {
        Ok(now) => now,
        Err(error) if error.is_not_found() => {
            return Err(Problem::failed(format!("the Node {machine} was deleted while it rebooted")));
        }
        // A roll of the control plane elsewhere, or of this very machine: absence is expected.
        Err(error) => return Ok(Some(chain(&error))),
    };
    if now.uid != before.uid {
        return Err(Problem::failed(format!("{machine} is another Node object now: it was deleted and made anew"))
            .hint("its labels, taints and cordon are lost; compare them before it takes pods"));
    }
    if now.is_out_of_service() {
        return Err(Problem::failed(format!("somebody declared {machine} out of service"))
            .hint(format!("kubectl taint node {node} node.kubernetes.io/out-of-service-")));
    }
    if let Some(doubt) = not_back(before, &now) {
        return Ok(Some(doubt));
    }
    match cluster.own_pods_not_ready(node).await {
        Ok(waiting) if waiting.is_empty() => Ok(None),
        Ok(waiting) => Ok(Some(format!("{} not ready: {}", text::count(waiting.len(), "pod"), text::list(&waiting)))),
        Err(error) => Ok(Some(chain(&error))),
    }
}

/// What speaks against the Node being back in a new boot, from one read of it.
///
/// After a boot the kubelet reports its boot id and its Ready condition in one patch (`kubelet_node_status.go`), so within
/// one object they belong together; Ready alone may be 50 s old, and a fast reboot never shows as NotReady.
fn not_back(before: &NodeFacts, now: &NodeFacts) -> Option<String> {
    if now.boot_id.is_empty() || now.boot_id == before.boot_id {
        return Some("its kubelet has not reported the new boot yet".to_owned());
    }
    if !now.is_ready() || now.heartbeat == before.heartbeat {
        let message = if now.ready_message.is_empty() { "no Ready condition" } else { &now.ready_message };
        return Some(format!("it is not Ready: {message}"));
    }
    if !now.troubles.is_empty() {
        return Some(format!("it reports {}", text::list(&now.troubles)));
    }
    let new: Vec<_> = now.taints.iter().filter(|taint| !before.taints.contains(taint)).collect();
    (!new.is_empty()).then(|| format!("it carries the new taint {}", text::list(&new)))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn node() -> NodeFacts {
        NodeFacts {
            name: "w1".into(),
            uid: "u1".into(),
            control_plane: false,
            hostnames: Vec::new(),
            internal_ip: None,
            ready: "True".into(),
            ready_message: "KubeletReady".into(),
            heartbeat: Timestamp::from_second(100).ok(),
            troubles: Vec::new(),
            boot_id: "b1".into(),
            kernel: String::new(),
            kubelet: String::new(),
            kube_proxy: String::new(),
            container_runtime: String::new(),
            unschedulable: true,
            mark: None,
            cordoned_by: None,
            taints: vec!["dedicated:NoSchedule".into()],
        }
    }

    #[test]
    fn a_node_is_back_only_with_a_new_boot_and_a_ready_condition_of_that_boot() {
        let back = || NodeFacts { boot_id: "b2".into(), heartbeat: Timestamp::from_second(200).ok(), ..node() };
        for (what, now, expected) in [
            ("back, though it never showed NotReady", back(), None),
            ("Ready is stale: the old boot's object", node(), Some("new boot")),
            ("only the kubelet restarted", NodeFacts { heartbeat: back().heartbeat, ..node() }, Some("new boot")),
            ("no boot id", NodeFacts { boot_id: String::new(), ..back() }, Some("new boot")),
            ("new boot, not Ready", NodeFacts { ready: "False".into(), ..back() }, Some("not Ready")),
            ("new boot, silent", NodeFacts { ready: "Unknown".into(), ..back() }, Some("not Ready")),
            ("the heartbeat is the old one", NodeFacts { heartbeat: node().heartbeat, ..back() }, Some("not Ready")),
            ("disk pressure", NodeFacts { troubles: vec!["DiskPressure".into()], ..back() }, Some("DiskPressure")),
            (
                "a taint that was not there before",
                NodeFacts { taints: vec!["node.kubernetes.io/unreachable:NoExecute".into()], ..back() },
                Some("unreachable"),
            ),
            ("a taint less", NodeFacts { taints: Vec::new(), ..back() }, None),
        ] {
            let doubt = not_back(&node(), &now);
            match expected {
                None => assert_eq!(doubt, None, "{what}"),
                Some(words) => {
                    assert!(doubt.as_deref().is_some_and(|doubt| doubt.contains(words)), "{what}: {doubt:?}");
                }
            }
        }
    }
}
