//! The Nodes of rebooted machines, before and after.

use futures::{StreamExt as _, stream};
use serde::Serialize;

use crate::{cluster::NodeFacts, facts::Inventory, plan::Target, runner::Outcome, world::World};

/// Nodes that are read at a time.
const AT_A_TIME: usize = 8;

/// A machine's Node before its turn and after the operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeChange {
    pub machine: String,
    /// When the operation was planned.
    pub before: NodeState,
    /// None if it could not be read any more.
    pub after: Option<NodeState>,
    /// How many pods are on it now that do not belong to it, as those of DaemonSets and static ones do; None if that could not be
    /// read.
    pub pods: Option<usize>,
}

/// What an operator looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeState {
    pub ready: bool,
    pub schedulable: bool,
    pub kernel: String,
    pub boot_id: String,
}

impl From<&NodeFacts> for NodeState {
    fn from(node: &NodeFacts) -> Self {
        let (kernel, boot_id) = (node.kernel.clone(), node.boot_id.clone());
        Self { ready: node.is_ready(), schedulable: !node.unschedulable, kernel, boot_id }
    }
}

/// The Nodes of all machines of an operation, in the order of their turns. `before` is what it was planned from.
pub(super) async fn nodes(world: &World, outcome: &Outcome, before: &Inventory) -> Vec<NodeChange> {
    let machines = outcome.done.iter().chain(outcome.left()).map(Target::machine);
    let known = machines.filter_map(|machine| Some((machine, before.machine(machine)?.node.as_ref()?)));
    let changes = stream::iter(known).map(async |(machine, before)| NodeChange {
        machine: machine.to_owned(),
        before: before.into(),
        after: world.cluster.node(&before.name).await.ok().as_ref().map(NodeState::from),
        pods: world.cluster.guests_on(&before.name).await.ok(),
    });
    changes.buffered(AT_A_TIME).collect().await
}
