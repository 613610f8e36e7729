//! The contract's two services, over gRPC.

mod audit;
mod control;
mod convert;
mod facts;
mod info;

use std::sync::Arc;

use tonic::{Request, Status};

use crate::{
    door::{Peer, live::Live},
    machine::Machine,
    operations::Operations,
};

/// Answers `NodeInfo` and `NodeControl`, for callers that the door's guard has let in.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    machine: Arc<Machine>,
    live: Arc<Live>,
    operations: Operations,
}

impl Service {
    pub(crate) fn new(machine: Arc<Machine>, live: Arc<Live>, operations: Operations) -> Self {
        Self { machine, live, operations }
    }
}

/// The sender of a request. tonic takes it from the connection.
fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let peer = request.extensions().get::<Peer>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this connection has no certificate"))
}
