//! Which Nodes belong to the control plane, whatever somebody has listed.

use std::time::Duration;

use tokio::time::timeout;

use super::World;
use crate::{cluster::NodeFacts, facts::Scope};

impl World {
    /// Whether this is a machine of the control plane as it is listed, or its Node by another name.
    pub(super) fn is_listed(&self, name: &str) -> bool {
        self.control_plane.iter().any(|machine| machine == name || self.node_name(machine) == name)
    }

    /// Nodes that belong to the control plane, by their label or by an apiserver at their address, and are none of its machines. Where the
    /// apiservers are is asked once, for at most `limit`.
    pub(super) async fn unlisted(&self, scope: &Scope, limit: Duration) -> Vec<String> {
        if !scope.control_plane {
            return Vec::new();
        }
        let serving = timeout(limit, self.serving.get_or_try_init(|| self.cluster.apiserver_places())).await;
        // Without the right to read them, the labels must do.
        let serving = serving.ok().and_then(Result::ok).map(Vec::as_slice).unwrap_or_default();
        let serves =
            |node: &NodeFacts| node.internal_ips().iter().any(|ip| serving.iter().any(|(address, _)| address == ip));
        let belonging = self.nodes.iter().filter(|(_, node)| node.control_plane || serves(node)).map(|(name, _)| name);
        belonging.filter(|name| !self.is_listed(name)).cloned().collect()
    }
}
