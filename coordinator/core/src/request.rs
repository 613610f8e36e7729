//! What an operator wants, whole: kind, machines, reason, policies, overrides, and the way to the cluster.
//!
//! A request is what is stored of an operation, and it knows itself as a command line: "to go on: …" is printed from it, so
//! that no flag is lost on the way.

mod command_line;
mod connection;
mod eviction;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::{command_line::quote, connection::Connection, eviction::Eviction};
use crate::{
    drain::{DrainOptions, PodSelector},
    facts::Scope,
    schedule::Pace,
    seconds,
    site::Site,
    target::Target,
};

/// A change that an operator wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    #[serde(flatten)]
    pub kind: Kind,
    /// Why: recorded in the lock, the Node's mark and each agent's journal. Empty in a dry run that gives none.
    pub reason: String,
    /// The ticket that this belongs to.
    pub task_id: Option<String>,
    /// The flags that lead to the cluster, as they were given.
    pub connection: Connection,
}

/// The kinds of change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Kind {
    Restart(Restart),
    Reboot(Reboot),
    Cordon(OnNodes),
    Uncordon(OnNodes),
    Drain(Drain),
    Rebalance(Rebalance),
}

/// Restart components of the control plane, the leader last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// In this order. With [`Self::wanted`] they may be empty: all components of the site.
    pub components: Vec<String>,
    /// Only where somebody on the machine waits for it.
    #[serde(default)]
    pub wanted: bool,
    /// Only on these machines; empty means every control-plane machine.
    pub machines: Vec<String>,
    /// Between an apiserver that is ready again and the next one; unset, the site's default.
    #[serde(rename = "gapSeconds", with = "seconds::option")]
    pub gap: Option<Duration>,
    /// Whether to hand over leases that their holders would keep; unset, the site's default.
    pub handover: Option<bool>,
    /// Leaders named by the operator, for elections without a living, known one.
    pub assumed_leaders: Vec<AssumedLeader>,
}

/// The operator's word on who leads a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssumedLeader {
    pub component: String,
    /// The machine that goes last; None if nobody leads.
    pub machine: Option<String>,
}

/// Reboot machines: cordon, drain, reboot, prove that they are back, uncordon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reboot {
    pub machines: Vec<String>,
    /// Neither cordon nor drain.
    pub impolite: bool,
    /// Reboot Nodes that somebody else cordoned, and leave them cordoned.
    pub keep_cordoned: bool,
    /// As for a restart.
    pub handover: Option<bool>,
    /// Names of inhibitors and users (`user:NAME`) that do not count, and of gates that the operator consents to be closed, as `fleet`.
    pub override_blockers: Vec<String>,
    /// Move pods back when all machines have rebooted.
    pub rebalance: bool,
    pub eviction: Eviction,
}

impl Reboot {
    /// Whether it goes through several machines, one after another.
    pub fn is_roll(&self) -> bool {
        self.machines.len() > 1
    }
}

/// Cordon or uncordon Nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnNodes {
    pub nodes: Vec<String>,
}

/// Cordon Nodes and evict their pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    pub nodes: Vec<String>,
    /// How many are drained at a time, once all are cordoned; at least 1.
    pub concurrency: usize,
    pub eviction: Eviction,
}

/// Move pods to Nodes that have fewer than their share, by eviction and a few at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// The Nodes that get pods.
    pub nodes: Vec<String>,
    /// At most this number of pods to each Node; unset, as many as its share needs.
    pub max_moves: Option<usize>,
    /// How many pods are under way at a time; at least 1.
    pub concurrency: usize,
    /// Only the pods with these labels.
    pub pod_selector: Option<PodSelector>,
    /// Not the pods with these labels.
    pub skip_pods: Vec<PodSelector>,
}

impl Request {
    /// The subcommand: `restart`, `reboot`, …
    pub fn verb(&self) -> &'static str {
        match &self.kind {
            Kind::Restart(_) => "restart",
            Kind::Reboot(_) => "reboot",
            Kind::Cordon(_) => "cordon",
            Kind::Uncordon(_) => "uncordon",
            Kind::Drain(_) => "drain",
            Kind::Rebalance(_) => "rebalance",
        }
    }

    /// The verb's participle: `3 of 3 restarted`.
    pub fn participle(&self) -> &'static str {
        match &self.kind {
            Kind::Restart(_) => "restarted",
            Kind::Reboot(_) => "rebooted",
            Kind::Cordon(_) => "cordoned",
            Kind::Uncordon(_) => "uncordoned",
            Kind::Drain(_) => "drained",
            Kind::Rebalance(_) => "rebalanced",
        }
    }

    /// Whether it needs the cluster's lock: cordon and uncordon are one write for each Node and need none.
    pub fn needs_lock(&self) -> bool {
        match &self.kind {
            Kind::Restart(_) | Kind::Reboot(_) | Kind::Drain(_) | Kind::Rebalance(_) => true,
            Kind::Cordon(_) | Kind::Uncordon(_) => false,
        }
    }

    /// Whether the order of turns depends on facts that change, so that it is decided again before each turn.
    pub fn is_planned_again(&self) -> bool {
        match &self.kind {
            Kind::Restart(_) | Kind::Reboot(_) | Kind::Rebalance(_) => true,
            Kind::Cordon(_) | Kind::Uncordon(_) | Kind::Drain(_) => false,
        }
    }

    /// How many turns may be under way together.
    pub fn pace(&self) -> Pace {
        match &self.kind {
            Kind::Drain(drain) => Pace { at_a_time: drain.concurrency.max(1), prepare_all: true },
            Kind::Restart(_) | Kind::Reboot(_) | Kind::Cordon(_) | Kind::Uncordon(_) | Kind::Rebalance(_) => {
                Pace::ONE_BY_ONE
            }
        }
    }

    /// The facts that the first plan needs. `is_control_plane` tells of a machine whether it is one.
    pub fn scope(&self, is_control_plane: impl Fn(&str) -> bool) -> Scope {
        match &self.kind {
            Kind::Restart(_) => Scope { control_plane: true, ..Scope::default() },
            Kind::Reboot(reboot) => Scope {
                control_plane: reboot.machines.iter().any(|machine| is_control_plane(machine)),
                machines: reboot.machines.iter().cloned().collect(),
                fleet: reboot.is_roll(),
                evicts: !reboot.impolite,
                ..Scope::default()
            },
            Kind::Drain(Drain { nodes, .. }) | Kind::Rebalance(Rebalance { nodes, .. }) => {
                Scope { nodes: nodes.iter().cloned().collect(), evicts: true, ..Scope::default() }
            }
            Kind::Cordon(_) | Kind::Uncordon(_) => Scope::default(),
        }
    }

    /// What its evictions may do, by the operator's flags and the site's policy; None if it evicts nothing.
    pub fn drain_options(&self, site: &Site) -> Option<DrainOptions> {
        match &self.kind {
            Kind::Reboot(reboot) => (!reboot.impolite).then(|| reboot.eviction.options(site)),
            Kind::Drain(drain) => {
                Some(DrainOptions { closed: drain.nodes.iter().cloned().collect(), ..drain.eviction.options(site) })
            }
            Kind::Rebalance(Rebalance { pod_selector, skip_pods, .. }) => {
                let (pod_selector, skip_pods) = (pod_selector.clone(), skip_pods.clone());
                Some(Eviction { pod_selector, skip_pods, ..Eviction::default() }.options(site))
            }
            Kind::Restart(_) | Kind::Cordon(_) | Kind::Uncordon(_) => None,
        }
    }

    /// Whether it may hand over the Lease of a component that keeps it: the operator's word, else the site's.
    pub fn handover(&self, site: &Site) -> bool {
        let said = match &self.kind {
            Kind::Restart(restart) => restart.handover,
            Kind::Reboot(reboot) => reboot.handover,
            Kind::Cordon(_) | Kind::Uncordon(_) | Kind::Drain(_) | Kind::Rebalance(_) => Some(false),
        };
        said.unwrap_or(site.defaults.handover)
    }

    /// Inhibitors and users that a reboot overrides.
    pub fn override_blockers(&self) -> &[String] {
        match &self.kind {
            Kind::Reboot(reboot) => &reboot.override_blockers,
            Kind::Restart(_) | Kind::Cordon(_) | Kind::Uncordon(_) | Kind::Drain(_) | Kind::Rebalance(_) => &[],
        }
    }

    /// Whether a component is led from `machine` by the operator's word.
    pub fn assumes_leader(&self, component: &str, machine: &str) -> bool {
        let Kind::Restart(restart) = &self.kind else { return false };
        let is_it =
            |assumed: &AssumedLeader| assumed.component == component && assumed.machine.as_deref() == Some(machine);
        restart.assumed_leaders.iter().any(is_it)
    }

    /// Whether the operator declared that nobody leads this component, so that no leader is awaited.
    pub fn is_leaderless(&self, component: &str) -> bool {
        match &self.kind {
            Kind::Restart(restart) => restart
                .assumed_leaders
                .iter()
                .any(|assumed| assumed.component == component && assumed.machine.is_none()),
            Kind::Reboot(_) | Kind::Cordon(_) | Kind::Uncordon(_) | Kind::Drain(_) | Kind::Rebalance(_) => false,
        }
    }

    /// The request that follows once these machines have rebooted: to move pods back to their Nodes. None if that is not wanted.
    pub fn rebalance_of(&self, nodes: Vec<String>) -> Option<Self> {
        let Kind::Reboot(Reboot { rebalance: true, eviction, .. }) = &self.kind else { return None };
        let rebalance = Rebalance {
            nodes,
            concurrency: 1,
            pod_selector: eviction.pod_selector.clone(),
            skip_pods: eviction.skip_pods.clone(),
            ..Rebalance::default()
        };
        (!rebalance.nodes.is_empty()).then(|| Self { kind: Kind::Rebalance(rebalance), ..self.clone() })
    }

    /// The same request for these turns alone, to be carried out one after another; none if there are no turns.
    ///
    /// It is one, except for a restart of several components on different machines: then one for those that have the same machines
    /// left, so that nothing is restarted twice.
    pub fn only(&self, left: &[&Target]) -> Vec<Self> {
        let Kind::Restart(restart) = &self.kind else {
            return self.only_on(each_once(left.iter().map(|target| target.machine()))).into_iter().collect();
        };
        let mut parts: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for component in each_once(left.iter().filter_map(|target| target.component())) {
            let of_component = left.iter().filter(|target| target.component() == Some(&component));
            let machines = each_once(of_component.map(|target| target.machine()));
            match parts.last_mut() {
                // The leaders decide the order anew for each component.
                Some((components, known)) if is_same_set(known, &machines) => components.push(component),
                _ => parts.push((vec![component], machines)),
            }
        }
        let is_one = parts.len() == 1;
        let request = |(components, machines): (Vec<String>, Vec<String>)| {
            // Several components that have all their machines left are what was asked for.
            let machines = if is_one && components.len() > 1 { restart.machines.clone() } else { machines };
            let kind = Kind::Restart(Restart { components, machines, ..restart.clone() });
            Self { kind, ..self.clone() }
        };
        parts.into_iter().map(request).collect()
    }

    /// The same request for these machines alone; None if there are none.
    fn only_on(&self, machines: Vec<String>) -> Option<Self> {
        if machines.is_empty() {
            return None;
        }
        let kind = match self.kind.clone() {
            Kind::Restart(restart) => Kind::Restart(Restart { machines, ..restart }),
            Kind::Reboot(reboot) => Kind::Reboot(Reboot { machines, ..reboot }),
            Kind::Cordon(_) => Kind::Cordon(OnNodes { nodes: machines }),
            Kind::Uncordon(_) => Kind::Uncordon(OnNodes { nodes: machines }),
            Kind::Drain(drain) => Kind::Drain(Drain { nodes: machines, ..drain }),
            Kind::Rebalance(rebalance) => Kind::Rebalance(Rebalance { nodes: machines, ..rebalance }),
        };
        Some(Self { kind, ..self.clone() })
    }
}

/// These names, each once, in the order in which they come first.
fn each_once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for name in names {
        if !once.iter().any(|known| known == name) {
            once.push(name.to_owned());
        }
    }
    once
}

fn is_same_set(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|name| other.contains(name))
}
