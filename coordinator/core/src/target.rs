//! What a turn is about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The subject of a turn, and its identity among the turns of an operation: each has one turn at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    machine: String,
    component: Option<String>,
}

impl Target {
    /// A machine as a whole.
    pub fn machine_turn(machine: impl Into<String>) -> Self {
        Self { machine: machine.into(), component: None }
    }

    /// One instance of a component: that on `machine`.
    pub fn instance(machine: impl Into<String>, component: impl Into<String>) -> Self {
        Self { machine: machine.into(), component: Some(component.into()) }
    }

    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// The component whose instance this is; None for a machine as a whole.
    pub fn component(&self) -> Option<&str> {
        self.component.as_deref()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.component {
            Some(component) => write!(f, "{component} on {}", self.machine),
            None => f.write_str(&self.machine),
        }
    }
}
