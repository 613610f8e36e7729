//! A turn: what happens to one target before the next one is touched.

use serde::{Deserialize, Serialize};

use super::{Target, step::Step};

/// A target's steps, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    #[serde(flatten)]
    pub target: Target,
    /// Whether its machine is one of the control plane.
    pub control_plane: bool,
    /// The components that its machine led when the turn was planned.
    pub leads: Vec<String>,
    pub steps: Vec<Step>,
}

impl Turn {
    pub fn machine(&self) -> &str {
        self.target.machine()
    }

    /// How many of its first steps prepare it.
    pub fn preparation(&self) -> usize {
        self.steps.iter().take_while(|step| step.prepares()).count()
    }
}

/// Builds the list of a turn's steps, so that a kind of operation reads like its runbook.
#[derive(Debug, Default)]
pub(super) struct Steps(Vec<Step>);

impl Steps {
    pub(super) fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    pub(super) fn when(mut self, condition: bool, steps: impl IntoIterator<Item = Step>) -> Self {
        if condition {
            self.0.extend(steps);
        }
        self
    }

    pub(super) fn all(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.0.extend(steps);
        self
    }

    pub(super) fn done(self) -> Vec<Step> {
        self.0
    }
}
