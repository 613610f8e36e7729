//! The flags that lead to a cluster.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::seconds;

/// The cluster file and kubectl's global flags, as they were given. What was not given is unset: the cluster file, then
/// kubectl's own rules decide.
///
/// A token is never part of it: a request is stored and printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    pub cluster_file: Option<PathBuf>,
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    pub cluster: Option<String>,
    pub user: Option<String>,
    pub server: Option<String>,
    #[serde(rename = "as")]
    pub impersonate: Option<String>,
    #[serde(rename = "asGroups")]
    pub impersonate_groups: Vec<String>,
    #[serde(rename = "asUid")]
    pub impersonate_uid: Option<String>,
    pub certificate_authority: Option<PathBuf>,
    pub tls_server_name: Option<String>,
    pub insecure_skip_tls_verify: bool,
    #[serde(rename = "requestTimeoutSeconds", with = "seconds::option")]
    pub request_timeout: Option<Duration>,
}
