//! The agent's configuration: what `agent.toml` says, validated, with every default filled in.
//!
//! Plain data. [`Config::load`] is the only way from a file to it; a file with an unknown key, a missing one or a bad value
//! gives no configuration at all, but every mistake in it at once.

mod allow;
mod etcd;
mod in_force;
mod read;
mod url;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use usher_common::config_file::{self, FileError, Record};

pub(crate) use self::{allow::InPart, in_force::InForce};
pub use self::{etcd::Etcd, url::Url};
use crate::{access::AllowList, certificate::Fingerprint};

/// Everything the agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the agent listens. Default `[::]:7470`.
    pub listen: SocketAddr,
    /// The node's name as the coordinator knows it. Default: the host name.
    pub node: String,
    /// Where operations and the highest epoch are kept. Default `/var/lib/usher-agent`.
    pub state_directory: PathBuf,
    /// While this file exists, units are not restarted or stopped and the node is not rebooted. Default `/etc/usher/hold`.
    pub hold_file: PathBuf,
    /// The Unix socket for the node's own root. Default `/run/usher-agent/agent.sock`.
    pub socket: PathBuf,
    /// Whether this node is its cluster's only control plane, so that a restart that root asks for need not wait for its turn.
    /// Default no.
    pub sole_control_plane: bool,
    /// Where the kernel tells the boot id. Default `/proc/sys/kernel/random/boot_id`.
    pub boot_id_file: PathBuf,
    /// Whether gRPC reflection is served. Default yes; callers must be listed all the same.
    pub reflection: bool,
    /// The D-Bus address of a peer that plays systemd and login1, as in a sandbox. `None`: the system bus.
    pub bus: Option<String>,
    /// The agent's own certificate and the CA of its callers.
    pub tls: TlsFiles,
    /// Who may call, and in which role.
    pub allow: AllowList,
    /// Where metrics are served, over plain HTTP. `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Certificates that are refused whatever names they carry.
    pub deny: BTreeSet<Fingerprint>,
    /// Bounds on connections.
    pub limits: Limits,
    /// How long past operations are kept.
    pub operations: Retention,
    /// How many reboots within 24 hours the agent accepts. Default 4.
    pub reboots_per_day: u32,
    /// Lock files of configuration management that the node's status tells of.
    pub lock_files: Vec<PathBuf>,
    /// The node's member of etcd, if it has one that the agent is to know of.
    pub etcd: Option<Etcd>,
    /// The units that may be restarted, stopped and started, by name. No other may.
    pub units: BTreeMap<String, UnitPolicy>,
}

/// Where the PEM files are. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The agent's certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// The CAs that sign callers' certificates.
    pub client_ca: PathBuf,
    /// Revocation lists of these CAs. Default: none.
    pub client_crl: Option<PathBuf>,
    /// The DNS name that the certificate must carry. `None`: the node's name, alone or with a domain behind it.
    pub server_name: Option<String>,
}

/// What peers may cost the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Peers at once that have not shown a listed certificate; the oldest makes room for a new one. Default 128.
    pub handshakes: usize,
    /// The same for one address, or one /64 of IPv6. Default 8.
    pub handshakes_per_address: usize,
    /// How long a TLS handshake may take. Default 3 s.
    pub handshake_timeout: Duration,
    /// Connections of listed callers at once; the longest idle makes room for a new one. Default 64.
    pub connections: usize,
    /// How many of them are for operators alone; at most half. Default 8.
    pub operator_connections: usize,
    /// Connections at once with one certificate. Default 16.
    pub connections_per_certificate: usize,
    /// How long a connection may live before its first call. Default 10 s.
    pub first_call_timeout: Duration,
    /// How long a connection may live without a call on it. Default 10 min.
    pub idle_timeout: Duration,
    /// How long a connection takes new calls. Default 15 min.
    pub connection_age: Duration,
    /// How long calls in progress may go on after that. Default 1 min.
    pub connection_grace: Duration,
}

/// Something to begin tests with, of which each sets what it is about.
#[cfg(test)]
impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes: 1,
            handshakes_per_address: 1,
            handshake_timeout: Duration::ZERO,
            connections: 1,
            operator_connections: 0,
            connections_per_certificate: 1,
            first_call_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            connection_age: Duration::ZERO,
            connection_grace: Duration::ZERO,
        }
    }
}

/// How long past operations are kept. The budget of reboots has a record of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Operations that began longer ago are forgotten, but for the newest 100. Default 90 days.
    pub keep: Duration,
    /// At most this many are kept, the newest, and with them all of the last 7 days. Starts that found their unit active do not
    /// count. Default 1000.
    pub keep_count: usize,
}

/// What the agent knows of a unit that it may restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPolicy {
    /// How long systemd's job may take. Default 2 min, above systemd's own default of 90 s for a start or a stop.
    pub job_timeout: Duration,
    /// How the unit says that it is healthy. `None`: it is once systemd calls it active.
    pub probe: Option<Probe>,
}

/// An HTTPS question whose answer says whether a unit is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub url: Url,
    /// What is asked instead when `url` answers 404: kube-scheduler has no /readyz before Kubernetes 1.31.
    pub fallback_url: Option<Url>,
    /// How the server's certificate is checked.
    pub trust: Trust,
    /// The certificate that the probe shows. Without it and without a token, kube-apiserver calls it `system:anonymous`.
    pub certificate: Option<ClientCertificate>,
    /// A file with the bearer token that the probe sends, read again for each question.
    pub token_file: Option<PathBuf>,
    /// The name that the server's certificate must carry. Default: the URL's host.
    pub server_name: Option<String>,
    /// The status that means healthy. Default 200.
    pub status: u16,
    /// How many such answers in a row. Default 3.
    pub successes: u32,
    /// Time between two questions. Default 1 s.
    pub interval: Duration,
    /// How long one answer may take. Default 5 s.
    pub timeout: Duration,
    /// How long the unit has to become healthy. Default 60 s.
    pub deadline: Duration,
}

/// How a probe checks the certificate of the server it asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trust {
    /// By the CAs in this PEM file, read again for each question.
    Ca(PathBuf),
    /// Not at all. Only on loopback: kube-scheduler and kube-controller-manager make a self-signed certificate at start.
    Nobody,
}

/// A probe's own certificate. Both files are read again for each question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate, followed by its intermediates, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or has mistakes: then all of them.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Ok(config_file::load(path, "the agent's configuration", read::config)?.value)
    }

    /// What a file that [`Config::load`] refuses says about callers, `None` if it is not even TOML.
    pub(crate) fn load_in_part(path: &Path) -> Option<InPart> {
        config_file::load_in_part(path, allow::in_part)
    }
}

/// Every key that the file may have.
pub fn describe() -> Record {
    config_file::describe(read::config)
}
