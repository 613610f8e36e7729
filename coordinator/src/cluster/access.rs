//! How the operator wants to reach the API, and why that leads nowhere.

use std::{path::PathBuf, time::Duration};

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

/// The connection could not even be described; nothing was contacted.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No kubeconfig, or a broken one.
    #[error("cannot read the kubeconfig")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    /// Neither a kubeconfig nor a service account.
    #[error(
        "found neither a kubeconfig nor a service account (set --kubeconfig, $KUBECONFIG or [api] in the cluster file)"
    )]
    Nothing,
    /// `--server` is no URL.
    #[error("{server:?} is no URL of an API server")]
    Server {
        server: String,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
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
    /// The CA file of `--certificate-authority` could not be read.
    #[error("cannot read {}", path.display())]
    CertificateAuthority { path: PathBuf, source: std::io::Error },
}
