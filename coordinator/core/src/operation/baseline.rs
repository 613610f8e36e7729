//! What a turn's machine was like before the turn changed anything.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::facts::{Inventory, node::NodeFacts};

/// The state that a turn began with: what its steps compare with, and what taking them back leads to. Taken once, from the
/// facts on which the turn was planned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Baseline {
    /// The machine's Node, if it is one and was read.
    pub node: Option<NodeFacts>,
    /// The boot id that its agent reported.
    pub boot_id: Option<String>,
    /// The InvocationIDs of the units that ran, by unit.
    pub invocations: BTreeMap<String, String>,
    /// The units that did not run. Nothing that follows is to make them run.
    pub down: BTreeSet<String>,
    /// The identities that held leases from this machine, by component.
    pub holders: BTreeMap<String, String>,
}

impl Baseline {
    /// The baseline of `machine`.
    pub fn of(machine: &str, facts: &Inventory) -> Self {
        let Some(found) = facts.machine(machine) else { return Self::default() };
        let status = found.agent.status();
        let units = || status.into_iter().flat_map(|status| &status.units);
        let holders = facts.leaders.iter().filter_map(|(component, leadership)| {
            let holder = leadership.holder().filter(|holder| holder.machine.as_deref() == Some(machine))?;
            Some((component.clone(), holder.identity.clone()))
        });
        Self {
            node: found.node.clone(),
            boot_id: status.map(|status| status.boot_id.clone()).filter(|id| !id.is_empty()),
            down: units().filter(|unit| !unit.is_active()).map(|unit| unit.name.clone()).collect(),
            invocations: units().filter_map(|unit| Some((unit.name.clone(), unit.invocation_id.clone()?))).collect(),
            holders: holders.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::facts;

    #[test]
    fn a_baseline_knows_the_boot_the_units_and_the_leases_of_its_machine_and_survives_being_stored() {
        let baseline = Baseline::of("cp2", &facts("cp2", "cp3"));
        assert_eq!(baseline.boot_id.as_deref(), Some("boot-of-cp2"));
        assert_eq!(baseline.invocations.len(), 3);
        assert_eq!(baseline.holders.keys().collect::<Vec<_>>(), ["kube-scheduler"]);
        let json = serde_json::to_string(&baseline).unwrap();
        assert_eq!(serde_json::from_str::<Baseline>(&json).unwrap(), baseline);
    }
}
