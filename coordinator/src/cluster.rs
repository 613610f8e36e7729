//! The Kubernetes API: the only module, with [`crate::drain`], that knows kube's types. Everything else sees plain data.
//!
//! Requests survive the restart of an apiserver: reads, and writes that are safe to repeat, are tried again while no
//! server answers, until a deadline. A balancer that does not retry breaks the odd connection in every roll.

mod apiservers;
mod connect;
mod elections;
mod error;
mod leases;
mod lock;
mod nodes;
mod pods;
pub(crate) mod retry;

use std::{future::Future, sync::Arc, time::Duration};

pub(crate) use self::nodes::by_name;
pub use self::{
    connect::{Access, ConnectError},
    elections::{Elections, NoLeader},
    error::ClusterError,
    lock::{Lock, LockError, LockHolder, LockRequest},
    nodes::{Cordoned, Uncordoned},
};
pub use usher_core::{
    facts::{
        apiserver::Readiness,
        node::{CordonMark, FieldWriter, NodeFacts},
    },
    site::LeaseName,
};

/// For how long a request is repeated while nothing answers: an apiserver is back within seconds, and a balancer notices one
/// that is gone after its checks' interval times their count.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to one cluster's API.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    /// What the operator calls the cluster.
    name: Arc<str>,
    /// The URL of the API, for people.
    server: Arc<str>,
    /// How single apiservers are reached past the balancer. None in tests: the same client then stands for all.
    direct: Option<Arc<kube::Config>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.name).field("server", &self.server).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster behind any client, for example an API server in memory.
    pub fn over(client: kube::Client, name: &str, server: &str) -> Self {
        Self { client, name: name.into(), server: server.into(), direct: None }
    }

    /// What the operator calls the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of the API.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The client, for the drain.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// The server's version, such as `v1.37.2`.
    ///
    /// # Errors
    ///
    /// If no apiserver answers.
    pub async fn version(&self) -> Result<String, ClusterError> {
        // Not retried, as the first request of a command.
        let version = self.client.apiserver_version().await;
        version.map(|info| info.git_version).map_err(|source| self.error("ask for the server's version", source))
    }

    /// Repeats a request that is safe to repeat while no apiserver takes it.
    async fn patiently<T, F>(&self, doing: &str, request: impl FnMut() -> F) -> Result<T, ClusterError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        retry::retry(PATIENCE, request).await.map_err(|source| self.error(doing, source))
    }

    fn error(&self, doing: &str, source: kube::Error) -> ClusterError {
        ClusterError::new(doing, &self.server, source)
    }
}
