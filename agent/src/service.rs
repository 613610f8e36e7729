//! The contract's two services, over gRPC.

mod control;
mod convert;
mod info;

use std::sync::Arc;

use tonic::{Request, Status};

use crate::{listener::Peer, live::Live, node::Node, operations::Operations};

/// Answers `NodeInfo` and `NodeControl`. Callers have passed [`crate::guard`].
#[derive(Debug, Clone)]
pub struct Service {
    node: Arc<Node>,
    live: Arc<Live>,
    operations: Operations,
}

impl Service {
    /// A service for this node.
    pub fn new(node: Arc<Node>, live: Arc<Live>, operations: Operations) -> Self {
        Self { node, live, operations }
    }
}

/// Who sent a request. The listener puts it into each.
fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let peer = request.extensions().get::<Peer>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this connection has no certificate"))
}
