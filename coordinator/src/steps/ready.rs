//! Proof that a rebooted machine is back: its units, and its Node.

mod well;

use std::time::Duration;

use tokio::time::Instant;
use usher_common::chain;

use self::well::{RENEWED_WITHIN, Well};
use super::{Context, evidence};
use crate::{
    cluster::{ClusterError, NodeFacts},
    facts::own_pods::{Compared, OwnPod, compare},
    problem::Problem,
    site::Component,
    text,
    wait::{Look, until},
};

/// Waits until each unit of the control plane that ran before is active on the machine, and its apiserver ready.
pub(super) async fn prove_units(context: &mut Context<'_>) -> Result<(), Problem> {
    let machine = context.machine();
    let site = &context.world.site;
    let agent = context.agent()?;
    let down = &context.baseline.down;
    let ran = || site.components.iter().filter(|component| !down.contains(&component.unit));
    let look = async || {
        let status = match agent.status().await {
            Ok(status) => status,
            Err(error) => return Ok(Look::NotYet(chain(&error))),
        };
        let managed = || ran().filter_map(|component| status.unit(&component.unit));
        Ok(match managed().find(|unit| !unit.is_active()) {
            Some(unit) => Look::NotYet(format!("{} is {} ({})", unit.name, unit.active_state, unit.sub_state)),
            None => Look::Done(managed().map(|unit| unit.name.clone()).collect::<Vec<_>>()),
        })
    };
    let late = |missing| {
        Problem::timed_out(format!("{machine} has rebooted, but {missing}"))
            .hint(format!("look at it: usher agent units {machine}"))
    };
    let proved = until(site.defaults.ready_timeout, look, |why| context.waiting(why), late).await?;
    context.progress.stopped.clear();
    // Static pods are no units: of a control plane that runs as such, nothing is proved here but its apiserver.
    let units = match proved.is_empty() {
        true => "its agent manages no unit of the control plane".to_owned(),
        false => format!("{} active", text::list(&proved)),
    };
    if ran().any(Component::is_apiserver) {
        evidence::await_apiserver(context).await?;
        context.fact(format!("{units}; apiserver ready"));
    } else {
        context.fact(units);
    }
    if !down.is_empty() {
        context.fact(format!(
            "not waited for, since they did not run before: {}",
            text::list(&down.iter().collect::<Vec<_>>())
        ));
    }
    Ok(())
}

/// Waits until the Node is back, and has been for the settle time without interruption.
pub(super) async fn prove_node(context: &mut Context<'_>, cordoned: bool) -> Result<(), Problem> {
    let machine = context.machine();
    let before = context.progress.node_before_reboot.clone().or_else(|| context.baseline.node.clone());
    let Some(before) = before else { return Ok(()) };
    let defaults = &context.world.site.defaults;
    let mut proof = Proof::new(before, context.progress.own_pods_before_reboot.clone(), defaults.settle);
    let late = |why| {
        let problem = Problem::timed_out(format!("{machine} has rebooted, but is not proved to be back: {why}"));
        match cordoned {
            true => problem.hint(format!("it stays cordoned; when it is well: usher uncordon {machine} -r REASON")),
            false => problem.hint("look at it: usher nodes"),
        }
    };
    let look = async || proof.look(context).await;
    let renewed = until(defaults.ready_timeout, look, |why| context.waiting(why), late).await?;
    context.fact(format!("kubelet reported the new boot, Ready for {}", text::took(defaults.settle)));
    if !renewed {
        let lease = format!("its lease in kube-node-lease, {},", context.node());
        context.fact(format!("{lease} is absent or may not be read, so its kubelet may have stopped since"));
    }
    if !proof.as_before.is_empty() {
        context.fact(format!("not ready, as before the reboot: {}", text::list(&proof.as_before)));
    }
    Ok(())
}

/// What the proof of a Node's return has seen so far.
#[derive(Debug)]
struct Proof {
    before: NodeFacts,
    /// The node's own pods in the boot before the one that is looked at; none if nobody looked at them.
    pods_before: Vec<OwnPod>,
    pods: Vec<OwnPod>,
    settle: Duration,
    /// The boot that the Node reports.
    boot: Option<String>,
    well: Option<Well>,
    /// Own pods that are not ready and were not before.
    as_before: Vec<String>,
}

impl Proof {
    const fn new(before: NodeFacts, pods_before: Vec<OwnPod>, settle: Duration) -> Self {
        Self { before, pods_before, pods: Vec::new(), settle, boot: None, well: None, as_before: Vec::new() }
    }

    /// Looks once. Done tells whether the kubelet was seen to renew its lease.
    async fn look(&mut self, context: &Context<'_>) -> Result<Look<bool>, Problem> {
        if let Some(doubt) = self.doubt(context).await? {
            self.well = None;
            return Ok(Look::NotYet(doubt));
        }
        let renewed = context.world.cluster.node_lease_renewed(context.node()).await;
        let now = Instant::now();
        let well = self.well.get_or_insert_with(|| Well::since(now));
        well.note(renewed, self.settle, now);
        Ok(match well.missing(self.settle, now) {
            None => Look::Done(well.is_renewed()),
            Some(missing) => Look::Settling(self.settle + RENEWED_WITHIN, missing),
        })
    }

    /// Why the Node is not yet taken to be back; None if it is.
    async fn doubt(&mut self, context: &Context<'_>) -> Result<Option<String>, Problem> {
        let (machine, node) = (context.machine(), context.node());
        let now = match context.world.cluster.node(node).await {
            Ok(now) => now,
            Err(error) if error.is_not_found() => {
                return Err(Problem::failed(format!("the Node {machine} was deleted while it rebooted")));
            }
            // A roll of the control plane elsewhere, or of this very machine: absence is expected.
            Err(error) => return Ok(Some(chain(&error))),
        };
        if now.uid != self.before.uid {
            return Err(Problem::failed(format!("{machine} is another Node object now: it was deleted and made anew"))
                .hint("its labels, taints and cordon are lost; compare them before it takes pods"));
        }
        if now.is_out_of_service() {
            return Err(Problem::failed(format!("somebody declared {machine} out of service"))
                .hint(format!("kubectl taint node {node} node.kubernetes.io/out-of-service-")));
        }
        if let Some(doubt) = not_back(&self.before, &now) {
            return Ok(Some(doubt));
        }
        self.note_the_boot(context, &now.boot_id);
        match self.own_pods(context).await {
            Ok(compared) => {
                self.as_before = compared.as_before;
                Ok((!compared.worse.is_empty()).then(|| text::list(&compared.worse)))
            }
            Err(error) => Ok(Some(chain(&error))),
        }
    }

    /// A machine that boots once more begins anew: what was seen of it was of the boot that has ended.
    fn note_the_boot(&mut self, context: &Context<'_>, boot: &str) {
        match &self.boot {
            Some(known) if known == boot => return,
            Some(known) => {
                let (known, boot) = (text::short_id(known), text::short_id(boot));
                context.fact(format!("it has booted once more ({known} → {boot})"));
                self.well = None;
                self.pods_before = std::mem::take(&mut self.pods);
            }
            None => {}
        }
        self.boot = Some(boot.to_owned());
    }

    /// The node's own pods compared with those of the boot before, in which DaemonSets that were deleted meanwhile do not count.
    async fn own_pods(&mut self, context: &Context<'_>) -> Result<Compared, ClusterError> {
        let cluster = &context.world.cluster;
        self.pods = cluster.own_pods(context.node()).await?;
        let mut compared = compare(&self.pods_before, &self.pods);
        for (namespace, name) in &compared.gone {
            if cluster.has_daemon_set(namespace, name).await? {
                compared.worse.push(format!("the DaemonSet {namespace}/{name} has no running pod here, and had one"));
            }
        }
        Ok(compared)
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
            other_internal_ips: Vec::new(),
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
