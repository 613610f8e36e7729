//! How the operator wants to reach the API, and why that leads nowhere.

use std::{path::PathBuf, time::Duration};

use super::{credentials::CredentialsError, kubeconfig::KubeconfigError, proxy::ProxyError};

/// How the operator wants to reach the API: the cluster file's `[api]` and kubectl's global flags, which win.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Path of the kubeconfig; unset means `$KUBECONFIG`, `~/.kube/config`, then the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`: a cluster of the kubeconfig.
    pub cluster: Option<String>,
    /// `--user`: a user of the kubeconfig.
    pub user: Option<String>,
    /// `--server`: the API's URL.
    pub server: Option<String>,
    /// `--token`.
    pub token: Option<String>,
    /// `--as`.
    pub impersonate: Option<String>,
    /// `--as-group`.
    pub impersonate_groups: Vec<String>,
    /// `--as-uid`.
    pub impersonate_uid: Option<String>,
    /// `--certificate-authority`.
    pub certificate_authority: Option<PathBuf>,
    /// `--tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--insecure-skip-tls-verify`.
    pub insecure_skip_tls_verify: bool,
    /// `--request-timeout`.
    pub request_timeout: Option<Duration>,
    /// The cluster file itself names the context or the kubeconfig in use. The cluster that it leads to is the site's then, whatever
    /// the kubeconfig calls it.
    pub is_the_sites: bool,
    /// Other names of the site: a kubeconfig may call the cluster by any of them.
    pub aliases: Vec<String>,
}

impl Access {
    /// The flags that pick an entry of a kubeconfig, as they are typed.
    pub(super) fn entries_named(&self) -> Vec<String> {
        let flags = [("--context", &self.context), ("--cluster", &self.cluster), ("--user", &self.user)];
        flags.into_iter().filter_map(|(flag, value)| Some(format!("{flag} {}", value.as_ref()?))).collect()
    }
}

/// The connection could not even be described; nothing was contacted.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A kubeconfig that cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// Neither a kubeconfig nor a service account.
    #[error(
        "found neither a kubeconfig nor a service account (set --kubeconfig, $KUBECONFIG or [api] in the cluster file)"
    )]
    Nothing,
    /// Flags, or the cluster file, name entries of a kubeconfig, and there is no kubeconfig.
    #[error("{} means an entry of a kubeconfig, and there is none (set --kubeconfig or $KUBECONFIG)", .0.join(" "))]
    NoKubeconfig(Vec<String>),
    /// The kubeconfig has no such entry.
    #[error("the kubeconfig has no {kind} {name:?}")]
    NoEntry {
        /// context, cluster or user.
        kind: &'static str,
        name: String,
    },
    /// Neither the kubeconfig nor a flag says which context.
    #[error(
        "the kubeconfig has no current context (name one with --context, or set [api] context in the cluster file)"
    )]
    NoContext,
    /// An entry of the kubeconfig cannot be used.
    #[error("{what} in the kubeconfig cannot be used: {problem}")]
    Entry {
        /// The key, and whose it is.
        what: String,
        problem: String,
    },
    /// `--server`, or the kubeconfig's server, is no URL.
    #[error("{server:?} is no URL of an API server")]
    Server {
        server: String,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
    /// A proxy that cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Credentials that cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The cluster file and the kubeconfig speak of two clusters.
    #[error("the cluster file describes {site:?}, but the kubeconfig leads to {kubeconfig:?}")]
    AnotherCluster {
        /// `name` in the cluster file.
        site: String,
        /// What the kubeconfig calls the cluster of the context in use.
        kubeconfig: String,
        /// That context, if one is.
        context: Option<String>,
    },
    /// The client could not be made, for example of a certificate that does not parse.
    #[error("cannot make a client from the kubeconfig")]
    Client(#[source] kube::Error),
    /// A CA file could not be read.
    #[error("cannot read {}", path.display())]
    CertificateAuthority { path: PathBuf, source: std::io::Error },
}
