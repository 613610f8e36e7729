//! The contract's two services, over gRPC.

mod audit;
mod control;
mod convert;
mod facts;
mod info;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::{Request, Status};

use crate::{
    audit::Audit,
    binary::Replaced,
    door::{Peer, live::Live},
    machine::Machine,
    operations::Operations,
};

/// How many lists are made at once. A list may be as large as all other answers together.
const LISTINGS: usize = 2;

/// Answers `NodeInfo` and `NodeControl`, for callers that the door's guard has let in.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    machine: Arc<Machine>,
    live: Arc<Live>,
    operations: Operations,
    audit: Audit,
    replaced: Replaced,
    /// A permit for each list, kept until the caller has taken it.
    listings: Arc<Semaphore>,
}

impl Service {
    pub(crate) fn new(
        machine: Arc<Machine>,
        live: Arc<Live>,
        operations: Operations,
        audit: Audit,
        replaced: Replaced,
    ) -> Self {
        Self { machine, live, operations, audit, replaced, listings: Arc::new(Semaphore::new(LISTINGS)) }
    }
}

/// The sender of a request. tonic takes it from the connection.
fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let peer = request.extensions().get::<Peer>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this connection has no certificate"))
}
