//! What makes a machine worth a look before something is changed.

use std::{collections::BTreeMap, fmt};

use super::{AgentFacts, Identity, Inventory, Machine};

/// One thing about a machine that is not as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusual {
    NotReady,
    Cordoned,
    AgentSilent,
    /// Its agent warns of something, or it is held, or configuration management or dpkg may be at work.
    AgentWarns,
    /// An operation is under way on it.
    Busy,
    /// It is part of the control plane and not listed as such.
    NotListed,
    /// The machine behind the agent is not the Node, or nobody can tell which Node it is.
    AnotherMachine,
    /// Somebody on it waits for the restart of a unit.
    RestartWanted,
    /// An update waits for a reboot. That is a reason to begin, and none for a second look.
    RebootWanted,
}

impl Unusual {
    /// In the words of a count: `3 not ready`.
    fn word(self) -> &'static str {
        match self {
            Self::NotReady => "not ready",
            Self::Cordoned => "cordoned",
            Self::AgentSilent => "with a silent agent",
            Self::AgentWarns => "with warnings",
            Self::Busy => "busy",
            Self::NotListed => "not listed as control plane",
            Self::AnotherMachine => "with the agent of another machine",
            Self::RestartWanted => "want a restart",
            Self::RebootWanted => "want a reboot",
        }
    }

    /// Whether it speaks for a second look.
    pub fn speaks_for_a_look(self) -> bool {
        self != Self::RebootWanted
    }
}

impl Machine {
    /// All that is not as usual.
    pub fn unusual(&self) -> Vec<Unusual> {
        let node = self.node.as_ref();
        let identity = self.identity();
        let status = self.agent.status();
        let warns = status.is_some_and(|status| {
            let is_held = status.hold.is_some() || !status.holds.is_empty();
            let is_announced = !status.lock_files.is_empty() || status.scheduled_shutdown.is_some();
            is_held || is_announced || !status.warnings.is_empty()
        });
        let another = matches!(identity, Identity::Differs { node_is_ready: true, .. }) || !self.rival_nodes.is_empty();
        [
            (node.is_some_and(|node| !node.is_ready()), Unusual::NotReady),
            (node.is_some_and(|node| node.unschedulable), Unusual::Cordoned),
            (matches!(self.agent, AgentFacts::Silent { .. }), Unusual::AgentSilent),
            (warns, Unusual::AgentWarns),
            (status.is_some_and(|status| status.current_operation.is_some()), Unusual::Busy),
            (self.control_plane && !self.listed, Unusual::NotListed),
            (another, Unusual::AnotherMachine),
            (status.is_some_and(|status| !status.wanted_restarts.is_empty()), Unusual::RestartWanted),
            (status.is_some_and(|status| status.reboot_required), Unusual::RebootWanted),
        ]
        .into_iter()
        .filter_map(|(is_so, what)| is_so.then_some(what))
        .collect()
    }
}

/// How many machines there are, and how many of each kind are not as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    all: usize,
    as_usual: usize,
    unusual: BTreeMap<Unusual, usize>,
}

impl Inventory {
    /// Counts its machines.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { all: self.machines.len(), ..Counts::default() };
        for machine in &self.machines {
            let unusual = machine.unusual();
            counts.as_usual += usize::from(!unusual.iter().any(|what| what.speaks_for_a_look()));
            for what in unusual {
                *counts.unusual.entry(what).or_default() += 1;
            }
        }
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, as_usual, unusual } = self;
        let machines = if *all == 1 { "machine" } else { "machines" };
        write!(f, "{all} {machines}, {as_usual} as usual")?;
        for (what, count) in unusual {
            write!(f, " · {count} {}", what.word())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{facts::local::WantedRestart, plan::fixtures::facts};

    #[test]
    fn a_machine_is_unusual_for_what_an_operator_would_look_at_and_the_counts_name_each_kind() {
        let mut facts = facts("cp2", "cp3");
        assert!(facts.machines.iter().all(|machine| machine.unusual().is_empty()));
        assert_eq!(facts.counts().to_string(), "5 machines, 5 as usual");
        facts.node_mut("w1").ready = "Unknown".into();
        facts.node_mut("w1").unschedulable = true;
        facts.agent_mut("w2").reboot_required = true;
        facts.agent_mut("w2").wanted_restarts.push(WantedRestart::default());
        facts.machine_mut("cp1").agent = AgentFacts::Silent { message: "no answer".into(), hint: None };
        facts.agent_mut("cp2").warnings.push("agent.toml is not in use".into());
        facts.machine_mut("cp3").listed = false;
        assert_eq!(
            facts.counts().to_string(),
            "5 machines, 0 as usual · 1 not ready · 1 cordoned · 1 with a silent agent · 1 with warnings · \
             1 not listed as control plane · 1 want a restart · 1 want a reboot"
        );
        assert_eq!(facts.machine("w1").unwrap().unusual(), [Unusual::NotReady, Unusual::Cordoned]);
    }
}
