//! The Kubernetes API: the only module, with [`crate::drain`], [`crate::rebalance`] and [`crate::workloads`], that knows kube's
//! types. Everything else sees plain data.
//!
//! Requests survive the restart of an apiserver: reads, and writes that are safe to repeat, are tried again while no
//! server answers, until a deadline. A balancer that does not retry breaks the odd connection in every roll.

mod access;
mod apiservers;
mod census;
mod clock;
mod connect;
mod credentials;
mod elections;
mod error;
mod helm;
mod kubeconfig;
mod leases;
pub(crate) mod list;
mod lock;
pub(crate) mod names;
mod namespaces;
mod nodes;
pub(crate) mod pods;
mod proxy;
pub(crate) mod retry;
mod rights;
mod versions;
pub(crate) mod watch;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::OnceCell;

pub use self::{
    access::{Access, ConnectError},
    apiservers::ApiServerAt,
    clock::ServerClock,
    credentials::CredentialsError,
    elections::{Elections, NoLeader},
    error::ClusterError,
    kubeconfig::{Destination, KubeconfigError, kubeconfig_clusters},
    lock::{ImplausibleEpoch, Lock, LockError, LockHolder, LockRequest},
    nodes::{Cordoned, Uncordoned},
    proxy::ProxyError,
    rights::Review,
};
pub use usher_core::{
    facts::{
        apiserver::Readiness,
        node::{CordonMark, FieldWriter, NodeFacts},
    },
    site::LeaseName,
};

use self::{clock::ServerInfo, credentials::Credentials};

/// For how long a request is repeated while nothing answers: an apiserver is back within seconds, and a balancer notices one
/// that is gone after its checks' interval times their count.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the one apiserver at this URL, or why there can be none.
type Direct = Arc<dyn Fn(&ApiServerAt) -> Result<kube::Client, String> + Send + Sync>;

/// A connection to one cluster's API.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    /// What the operator calls the cluster.
    name: Arc<str>,
    /// The URL of the API, for people.
    server: Arc<str>,
    /// Who calls, as far as the kubeconfig and the flags tell.
    user: Option<Arc<str>>,
    /// How single apiservers are reached past the balancer.
    direct: Direct,
    /// Who calls; None where the client was given.
    credentials: Option<Arc<Credentials>>,
    /// What a server said of itself, once somebody asked.
    info: Arc<OnceCell<ServerInfo>>,
    /// Shows the operator why a request takes its time.
    notices: Option<Notices>,
}

#[derive(Clone)]
struct Notices(Arc<dyn Fn(&str) + Send + Sync>);

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.name).field("server", &self.server).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster behind any client, for example an API server in memory. The client stands for each single apiserver too.
    pub fn over(client: kube::Client, name: &str, server: &str) -> Self {
        let same = client.clone();
        let direct: Direct = Arc::new(move |_| Ok(same.clone()));
        Self {
            client,
            name: name.into(),
            server: server.into(),
            user: None,
            direct,
            credentials: None,
            info: Arc::default(),
            notices: None,
        }
    }

    /// The same with another client for each single apiserver, by its URL.
    #[must_use]
    pub fn with_apiservers(
        self,
        direct: impl Fn(&str) -> Result<kube::Client, String> + Send + Sync + 'static,
    ) -> Self {
        Self { direct: Arc::new(move |at: &ApiServerAt| direct(&at.url)), ..self }
    }

    /// What the operator calls the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of the API.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Who calls, as far as the kubeconfig and the flags tell: nobody is asked. None if they do not.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The client, for drains and workloads.
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Calls `show` with a line for the operator whenever a request has to wait for somebody else: a holder of the lock that may be
    /// dead, a leader that does not renew. Without it these waits are silent.
    #[must_use]
    pub fn with_notices(self, show: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { notices: Some(Notices(Arc::new(show))), ..self }
    }

    pub(crate) fn notice(&self, line: &str) {
        if let Some(Notices(show)) = &self.notices {
            show(line);
        }
    }

    /// Repeats a request that is safe to repeat while no apiserver takes it.
    pub(crate) async fn patiently<T, F>(&self, doing: &str, request: impl FnMut() -> F) -> Result<T, ClusterError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        retry::retry(PATIENCE, request).await.map_err(|source| self.error(doing, source))
    }

    pub(crate) fn error(&self, doing: &str, source: kube::Error) -> ClusterError {
        ClusterError::new(doing, &self.server, source)
    }
}
