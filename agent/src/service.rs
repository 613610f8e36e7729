//! The contract's services, over gRPC.

mod audit;
mod control;
mod convert;
mod etcd;
mod facts;
mod info;
mod local;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::{Request, Status};

use crate::{
    audit::Audit,
    binary::Replaced,
    door::{Peer, live::Live},
    machine::Machine,
    operations::{Operations, stopping},
    refusal::Refusal,
};

/// How many questions to what runs on the machine are under way at once: the member of etcd, the units' probes.
const ASKED_AT_ONCE: usize = 4;

/// How many lists are made at once. A list may be as large as all other answers together.
const LISTINGS: usize = 2;

/// Answers `NodeInfo`, `NodeControl` and `NodeLocal`, for callers that the door's guard has let in.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    machine: Arc<Machine>,
    live: Arc<Live>,
    operations: Operations,
    audit: Audit,
    replaced: Replaced,
    /// A permit for each list, kept until the caller has taken it.
    listings: Arc<Semaphore>,
    /// A permit for each question to what runs on the machine.
    asking: Arc<Semaphore>,
}

impl Service {
    pub(crate) fn new(
        machine: Arc<Machine>,
        live: Arc<Live>,
        operations: Operations,
        audit: Audit,
        replaced: Replaced,
    ) -> Self {
        let (listings, asking) = (Arc::new(Semaphore::new(LISTINGS)), Arc::new(Semaphore::new(ASKED_AT_ONCE)));
        Self { machine, live, operations, audit, replaced, listings, asking }
    }
}

/// The sender of a request. tonic takes it from the connection.
fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let peer = request.extensions().get::<Peer>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this connection has no certificate"))
}

/// Carries a call out in a task of its own: whatever becomes of the caller, what was begun is recorded.
async fn to_the_end<T: Send + 'static>(
    call: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Status> {
    // Only the end of the runtime ends the task.
    let answer = tokio::spawn(call).await.map_err(|_| Status::from(stopping()))?;
    answer.map_err(Status::from)
}
