//! The control plane: its machines, who leads, which apiservers are ready.

use super::{Check, Finding};
use crate::{
    facts::{Inventory, apiserver::Readiness, leader::Leadership},
    nodeset::words,
    site::{Component, Site},
};

/// The keys that say where single apiservers are.
const AT: &str = "components.kube-apiserver.url and server_name in the cluster file";

/// What is to be said of the control plane.
pub fn control_plane(facts: &Inventory, site: &Site) -> Vec<Finding> {
    let machines: Vec<_> = facts.control_plane().map(|machine| machine.name.as_str()).collect();
    if machines.is_empty() {
        let message = "no control-plane machine is known, so none can be restarted";
        return vec![Finding::wrong(Check::ControlPlane, message).mend("control_plane.machines in the cluster file")];
    }
    let mut findings = Vec::new();
    for machine in facts.control_plane().filter(|machine| !machine.listed) {
        let evidence: Vec<_> = machine.control_plane_evidence.iter().map(ToString::to_string).collect();
        let message = format!("{} is not listed, but {}", machine.name, evidence.join(", and "));
        let mend = format!("add {:?} to control_plane.machines in the cluster file", machine.name);
        findings.push(Finding::wrong(Check::ControlPlane, message).on(&machine.name).mend(mend));
    }
    findings.extend(site.components.iter().filter_map(|component| leader(component, facts)));
    let ready = |machine: &str, readiness: &Readiness| {
        let why = match readiness {
            Readiness::Ready => return None,
            Readiness::NotReady { message } => format!("the apiserver on {machine} is not ready: {message}"),
            Readiness::Unreachable { message } => format!("the apiserver on {machine} does not answer: {message}"),
            Readiness::ByItsAgent { .. } => {
                let message = format!("the apiserver on {machine} is {readiness}");
                return Some(Finding::warning(Check::ControlPlane, message).on(machine).mend(AT));
            }
        };
        let mend = format!("usher agent units {machine}; its address: {AT}");
        Some(Finding::wrong(Check::ControlPlane, why).on(machine).mend(mend))
    };
    findings.extend(facts.apiservers.iter().filter_map(|(machine, readiness)| ready(machine, readiness)));
    if findings.is_empty() {
        let led: Vec<_> = facts
            .leaders
            .iter()
            .filter_map(|(component, leader)| Some(format!("{component} led by {}", leader.machine()?)))
            .collect();
        let led = if led.is_empty() { String::new() } else { format!("; {}", led.join(", ")) };
        findings.push(Finding::ok(Check::ControlPlane, format!("{}{led}", words(&machines))));
    }
    findings
}

/// What is wrong with the leader of a component, if something is.
fn leader(component: &Component, facts: &Inventory) -> Option<Finding> {
    let (name, lease) = (&component.name, component.lease()?);
    let wrong = |message: String| Finding::wrong(Check::ControlPlane, message);
    match facts.leaders.get(name)? {
        Leadership::Held(holder) if holder.machine.is_some() => None,
        Leadership::Held(holder) if !holder.rivals.is_empty() => {
            let rivals = words(&holder.rivals);
            let message = format!("{name} is led by {:?}, which several machines could be: {rivals}", holder.identity);
            Some(wrong(message).mend("a host name of its own for each of them: hostnamectl"))
        }
        Leadership::Held(holder) => Some(
            wrong(format!("{name} is led by {:?}, which is no machine that usher knows", holder.identity))
                .mend("control_plane.machines in the cluster file: the machines' host names"),
        ),
        Leadership::Stale(holder) => {
            let on = holder.machine.as_deref().unwrap_or(&holder.identity);
            let message = format!("nobody leads {name}: {on} holds the lease {lease} and does not renew it");
            Some(wrong(message).mend(format!("usher agent units {on}")))
        }
        Leadership::Free => Some(
            Finding::warning(Check::ControlPlane, format!("nobody leads {name} at this moment")).mend("usher leaders"),
        ),
        Leadership::Absent => Some(
            wrong(format!("there is no lease {lease}, so nobody knows who leads {name}"))
                .mend(format!(
                    "components.{name}.lease in the cluster file (see: kubectl get leases -A), or leader_election = false there if \
                     it runs with --leader-elect=false"
                )),
        ),
    }
}
