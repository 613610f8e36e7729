//! Flags that every command takes.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{format::FormatParser, values::duration};
use crate::{output::Format, progress::Progress, request::Connection};

/// Flags that every command takes. Those that kubectl has mean the same.
#[derive(Debug, Args)]
pub struct Global {
    /// Path of the cluster file, or of a folder with one for each of several clusters.
    #[arg(long, global = true, value_name = "PATH", env = "USHER_CLUSTER_FILE", help_heading = "Global options")]
    pub(crate) cluster_file: Option<PathBuf>,
    /// Format of the result.
    #[arg(short, long, global = true, value_name = "FORMAT", value_parser = FormatParser, default_value = "table",
          help_heading = "Global options")]
    pub(crate) output: Format,
    /// Leave the header of tables out.
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_headers: bool,
    /// How to show progress on standard error.
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub(crate) progress: Progress,
    /// When to use colour; NO_COLOR is heeded too.
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub color: Color,
    /// More log lines on standard error; twice for all.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Path of the kubeconfig.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Kubernetes API")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Kubernetes API")]
    pub(crate) context: Option<String>,
    /// Which cluster: the name or alias of one that is described, else a cluster of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME", env = "USHER_CLUSTER", help_heading = "Kubernetes API")]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig; where the cluster file's kubeconfig has {user} in its name, what that stands for.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Kubernetes API")]
    pub(crate) user: Option<String>,
    /// URL of the API server.
    #[arg(short, long, global = true, value_name = "URL", help_heading = "Kubernetes API")]
    pub(crate) server: Option<String>,
    /// Bearer token.
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Kubernetes API")]
    pub(crate) token: Option<String>,
    /// User to impersonate.
    #[arg(long = "as", global = true, value_name = "USER", help_heading = "Kubernetes API")]
    pub(crate) impersonate: Option<String>,
    /// Group to impersonate; may be repeated.
    #[arg(long = "as-group", global = true, value_name = "GROUP", help_heading = "Kubernetes API")]
    pub(crate) impersonate_groups: Vec<String>,
    /// UID to impersonate.
    #[arg(long = "as-uid", global = true, value_name = "UID", help_heading = "Kubernetes API")]
    pub(crate) impersonate_uid: Option<String>,
    /// Path of the CA certificate of the API server.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Kubernetes API")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Name that the certificate of the API server must carry.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Kubernetes API")]
    pub(crate) tls_server_name: Option<String>,
    /// Do not check the certificate of the API server.
    #[arg(long, global = true, help_heading = "Kubernetes API")]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Give up on a request when nothing has come back for this time; unset or 0 means 30s.
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, help_heading = "Kubernetes API")]
    pub(crate) request_timeout: Option<Duration>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Global {
    /// Whether programs read standard error.
    pub fn is_for_programs(&self) -> bool {
        self.progress == Progress::Json
    }

    /// The flags that lead to the cluster. A token is a secret and stays out of everything that is stored or printed.
    pub(crate) fn connection(&self) -> Connection {
        let Self {
            cluster_file,
            output: _,
            no_headers: _,
            progress: _,
            color: _,
            verbose: _,
            kubeconfig,
            context,
            cluster,
            user,
            server,
            token: _,
            impersonate,
            impersonate_groups,
            impersonate_uid,
            certificate_authority,
            tls_server_name,
            insecure_skip_tls_verify,
            request_timeout,
        } = self;
        Connection {
            cluster_file: cluster_file.clone(),
            kubeconfig: kubeconfig.clone(),
            context: context.clone(),
            cluster: cluster.clone(),
            user: user.clone(),
            server: server.clone(),
            impersonate: impersonate.clone(),
            impersonate_groups: impersonate_groups.clone(),
            impersonate_uid: impersonate_uid.clone(),
            certificate_authority: certificate_authority.clone(),
            tls_server_name: tls_server_name.clone(),
            insecure_skip_tls_verify: *insecure_skip_tls_verify,
            request_timeout: *request_timeout,
        }
    }
}
