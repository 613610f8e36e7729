//! Plans: what to do, in which order, and what forbids it. Pure: from an [`Inventory`] to a value that can be printed.
//!
//! A plan is made before anything is touched. While it runs it is made again from fresh facts before each machine's turn,
//! without the turns that are done, and its first turn is the next one: so the order follows the leaders, and each gate is
//! checked right before the machine that it protects.

#[cfg(test)]
pub(crate) mod fixtures;
mod gates;
mod reboot;
mod restart;
mod sequence;
pub mod step;
#[cfg(test)]
mod tests;
mod text;

use serde::Serialize;

use self::step::Step;
pub use self::{
    gates::Refusal,
    reboot::RebootRequest,
    restart::{AssumedLeader, RestartRequest},
};
use crate::{facts::Inventory, site::Site};

/// What the operator asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Restart components.
    Restart(RestartRequest),
    /// Reboot machines.
    Reboot(RebootRequest),
    /// Cordon nodes.
    Cordon(Vec<String>),
    /// Uncordon nodes.
    Uncordon(Vec<String>),
    /// Cordon and drain nodes.
    Drain {
        /// The nodes.
        nodes: Vec<String>,
        /// How many are drained at a time, once all are cordoned.
        concurrency: usize,
    },
}

/// What to do, turn by turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// One machine after another, or side by side.
    pub turns: Vec<Turn>,
    /// If it is set, the first step of every turn is done before the second of any; then so many turns go on at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// What the operator should know before saying yes.
    pub warnings: Vec<String>,
}

/// What happens to one machine before the next one is touched.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The machine.
    pub machine: String,
    /// The component that is restarted, if that is what the turn is for.
    pub component: Option<String>,
    /// The components that the machine leads at this time.
    pub leads: Vec<String>,
    /// In order.
    pub steps: Vec<Step>,
}

/// What identifies a turn among those of one request: they are done once each.
pub type TurnId = (String, Option<String>);

impl Turn {
    /// The turn's identity.
    pub fn id(&self) -> TurnId {
        (self.machine.clone(), self.component.clone())
    }
}

/// Plans what `request` asks for, without the turns that are done.
///
/// # Errors
///
/// [`Refusal`] if a gate forbids the next turn.
pub fn make(request: &Request, done: &[TurnId], facts: &Inventory, site: &Site) -> Result<Plan, Refusal> {
    match request {
        Request::Restart(request) => restart::plan(request, done, facts, site),
        Request::Reboot(request) => reboot::plan(request, done, facts, site),
        Request::Cordon(nodes) => simple(nodes, done, &[Step::Cordon { keep: true }]),
        Request::Uncordon(nodes) => simple(nodes, done, &[Step::Uncordon { only_ours: false }]),
        Request::Drain { nodes, concurrency } => {
            reboot::gates_for_drain(nodes, done, facts)?;
            let plan = simple(nodes, done, &[Step::Cordon { keep: true }, Step::Drain])?;
            Ok(Plan { concurrency: Some((*concurrency).max(1)), ..plan })
        }
    }
}

fn simple(nodes: &[String], done: &[TurnId], steps: &[Step]) -> Result<Plan, Refusal> {
    let turn =
        |node: &String| Turn { machine: node.clone(), component: None, leads: Vec::new(), steps: steps.to_vec() };
    let turns = nodes.iter().map(turn).filter(|turn| !done.contains(&turn.id())).collect();
    Ok(Plan { turns, concurrency: None, warnings: Vec::new() })
}
