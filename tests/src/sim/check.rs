//! What must hold while a history runs: usher's promises, checked at each call of systemd or login1 and at each request.

use std::{collections::BTreeMap, fmt, time::Duration};

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::Value;
use tokio::time::Instant;

use super::scene::Scene;
use crate::rig::site::{Hands, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER};

/// A promise of usher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Two machines, or two apiservers, are never down at once by usher's doing, and none is taken down while another is.
    TwoDown,
    /// Nothing is rebooted, restarted or stopped twice within one operation.
    Twice,
    /// No machine is changed by an operation that does not hold the lock.
    WithoutLock,
    /// The machine that leads is the last one at which an operation restarts a component.
    LeaderNotLast,
    /// A machine is not rebooted while it leads a component that keeps its lease, nor while nobody leads that.
    LeaderRebooted,
    /// Only a machine that the command names is rebooted, whatever answers at its address.
    AnotherMachine,
    /// Pods are evicted, so that their budgets are respected; none is deleted.
    PodDeleted,
    /// A dead process asks for nothing.
    Ghost,
    /// Everything ends.
    Hangs,
    /// What is said at the end is true: done is done, and what was not rebooted does not reboot.
    Untrue,
    /// What an operation leaves behind is said, with the command to go on.
    Untold,
    /// The same command again heals it: it ends well.
    NotHealed,
    /// After that no Node is cordoned that should not be.
    LeftCordoned,
    /// Nor is one schedulable that somebody else has cordoned.
    Uncordoned,
    /// And no unit is stopped.
    LeftStopped,
    /// And the lock is free.
    LockHeld,
    /// The same command again does not do once more what was done already.
    DoneAgain,
    /// Nothing panics.
    Panics,
}

/// A promise that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// When and how.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// How long before a call a machine must have been down for usher to know of it.
const KNOWN_AFTER: Duration = Duration::from_secs(15);

/// A call of systemd or login1 by an operation.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) operation: String,
    pub(super) machine: &'static str,
    pub(super) call: String,
    /// Whether systemd or login1 has taken it. An agent may be killed right before.
    pub(super) done: bool,
    /// Whether the machine led the component of the unit.
    leads: bool,
}

/// The rules, and what they have to remember.
#[derive(Default)]
pub(crate) struct Rules {
    violations: Vec<Violation>,
    calls: Vec<Call>,
    lost_power: BTreeMap<&'static str, Instant>,
    /// Machines that were told to reboot, with the boot that they were to leave.
    rebooting: BTreeMap<&'static str, Vec<u8>>,
}

impl Rules {
    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(super) fn broken(&mut self, rule: Rule, what: impl Into<String>) {
        self.violations.push(Violation { rule, what: what.into() });
    }

    pub(super) fn lost_power(&mut self, machine: &'static str) {
        self.lost_power.insert(machine, Instant::now());
    }

    /// A coordinator sends a write to the API.
    pub(super) fn begins(&mut self, scene: &Scene, process: &str, (method, path, body): (&Method, &str, &str)) {
        let now = scene.now();
        if method == Method::DELETE && path.contains("/pods") {
            self.broken(Rule::PodDeleted, format!("{now:.3} {method} {path}"));
        }
        let changes = path.ends_with("/eviction")
            || (path.contains("/nodes/") && body.contains(r#""unschedulable":true"#) && method == Method::PATCH);
        let is_dry = body.contains(r#""dryRun":["All"]"#);
        if changes && !is_dry && !holds_the_lock(scene, process) {
            self.broken(Rule::WithoutLock, format!("{now:.3} {process}: {method} {path}"));
        }
    }

    /// systemd or login1 of a machine is about to do something for its agent.
    pub(super) fn is_called(&mut self, scene: &Scene, machine: &'static str, call: &str) {
        let hands = scene.hands(machine);
        let operation = running(hands);
        let now = scene.now();
        let unit = call.split(' ').nth(1).unwrap_or_default();
        let component = component(unit);
        let leads = component.is_some_and(|component| leader(scene, component) == machine);
        let made = Call { operation: operation.clone(), machine, call: call.to_owned(), done: false, leads };
        if call.starts_with("start ") {
            self.calls.push(made);
            return;
        }
        let what = format!("{now:.3} {operation}: {machine} {call}");
        if !holds_the_lock(scene, &operation) {
            self.broken(Rule::WithoutLock, what.clone());
        }
        let same =
            |earlier: &Call| earlier.operation == operation && earlier.machine == machine && earlier.call == call;
        if self.calls.iter().any(same) {
            self.broken(Rule::Twice, what.clone());
        }
        if component.is_some() && self.leader_was_touched_before(&made, unit) {
            self.broken(Rule::LeaderNotLast, what.clone());
        }
        if call == "reboot" && hands.apiserver.is_some() {
            // kube-scheduler gives its lease back when its machine shuts down; this one does not.
            let leader = leader(scene, "kube-controller-manager");
            if leader == machine || leader.is_empty() {
                let what = format!("{what} while {leader:?} leads kube-controller-manager");
                self.broken(Rule::LeaderRebooted, what);
            }
        }
        if call == "reboot" || unit == KUBE_APISERVER {
            let down = self.others_down(scene, machine);
            if !down.is_empty() {
                self.broken(Rule::TwoDown, format!("{what} while {} is down", down.join(", ")));
            }
        }
        if call == "reboot" {
            self.rebooting.insert(machine, boot_id(hands));
        }
        self.calls.push(made);
    }

    /// systemd or login1 of a machine has taken the call that it was last about to take.
    pub(super) fn has_taken(&mut self, machine: &str, call: &str) {
        let made = self.calls.iter_mut().rev().find(|made| made.machine == machine && made.call == call);
        if let Some(made) = made {
            made.done = true;
        }
    }

    /// Whether this operation has touched the same unit on a machine that led, and is at another one now.
    fn leader_was_touched_before(&self, made: &Call, unit: &str) -> bool {
        self.calls.iter().any(|earlier| {
            earlier.operation == made.operation
                && earlier.machine != made.machine
                && earlier.leads
                && !earlier.call.starts_with("start ")
                && earlier.call.ends_with(unit)
        })
    }

    /// Other machines that usher has taken down, or that went down long enough ago for usher to know.
    fn others_down(&mut self, scene: &Scene, machine: &str) -> Vec<String> {
        let is_control_plane = scene.machines().any(|(name, hands)| name == machine && hands.apiserver.is_some());
        let mut down = Vec::new();
        for (name, hands) in scene.machines().filter(|(name, _)| *name != machine) {
            if self.rebooting.get(name).is_some_and(|before| !hands.door.is_off() && boot_id(hands) != *before) {
                self.rebooting.remove(name);
            }
            if self.rebooting.contains_key(name) {
                down.push(format!("{name} (reboots)"));
                continue;
            }
            let Some(apiserver) = hands.apiserver.as_ref().filter(|_| is_control_plane) else { continue };
            let unknown = self.lost_power.get(name).is_some_and(|at| at.elapsed() < KNOWN_AFTER);
            if !apiserver.is_ready() && !unknown {
                down.push(format!("{name} (its apiserver)"));
            }
        }
        down
    }
}

/// The operation whose call the agent carries out, as its store has it.
fn running(hands: &Hands) -> String {
    let stored = hands.disk.read(&hands.folder.join("state/running.json")).unwrap_or_default();
    let record: Value = serde_json::from_slice(&stored).unwrap_or_default();
    record["id"].as_str().and_then(|id| id.split('.').next()).unwrap_or("nobody").to_owned()
}

fn boot_id(hands: &Hands) -> Vec<u8> {
    hands.disk.read(&hands.folder.join("boot_id")).unwrap_or_default()
}

fn component(unit: &str) -> Option<&'static str> {
    match unit {
        KUBE_SCHEDULER => Some("kube-scheduler"),
        KUBE_CONTROLLER_MANAGER => Some("kube-controller-manager"),
        _ => None,
    }
}

fn holder(scene: &Scene, lease: &str) -> String {
    let lease = scene.api().get::<Lease>(&format!("kube-system/{lease}"));
    lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default()
}

/// The machine that leads a component, or nothing.
fn leader(scene: &Scene, component: &str) -> String {
    holder(scene, component).split('_').next().unwrap_or_default().to_owned()
}

fn holds_the_lock(scene: &Scene, operation: &str) -> bool {
    holder(scene, "usher").rsplit('/').next() == Some(operation)
}
