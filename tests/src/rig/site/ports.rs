//! The apiservers as the network has them: each has a port with a TLS certificate of its own. A balancer that passes TLS through shows
//! one of these, and the agent beside each probes it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

use rustls::ServerConfig;
use tokio::io::duplex;
use tokio_rustls::TlsAcceptor;
use usher_common::stream::{BoxedStream, Dial};

use super::CONTROL_PLANE;
use crate::{
    pki::Ca,
    rig::component::{acceptor, question, reply},
};

/// What a connection holds that was not read yet.
const BUFFER: usize = 64 * 1024;

/// Of the apiservers, and of a balancer before them.
const PORT: &str = ":6443";

/// The table of agent.toml with which an agent probes the apiserver beside it.
pub(super) const PROBE: &str =
    "[units.\"kube-apiserver.service\".probe]\nurl = 'https://127.0.0.1:6443/readyz'\nverify = false\n";

/// The ports, by their hosts. Clones are the same.
#[derive(Clone)]
pub struct Ports {
    hosts: Arc<Mutex<BTreeMap<String, TlsAcceptor>>>,
    /// The answer to a question for the health.
    status: Arc<AtomicU16>,
}

impl Ports {
    pub(super) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = Ca::new("apiservers").unwrap();
        let port = |machine: &str| {
            let identity = ca.server(&[machine]).unwrap();
            (machine.to_owned(), acceptor(ServerConfig::builder().with_no_client_auth(), &identity))
        };
        let hosts = Arc::new(Mutex::new(CONTROL_PLANE.map(port).into()));
        Self { hosts, status: Arc::new(AtomicU16::new(200)) }
    }

    /// From now on the apiservers answer a question for their health with this status.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// A balancer of this name keeps every client on one machine.
    pub(super) fn keep_clients(&self, balancer: &str, machine: &str) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let own = hosts[machine].clone();
        hosts.insert(balancer.to_owned(), own);
    }

    /// The way from a machine to its own apiserver, whatever address is dialled.
    pub(super) fn dial(&self, machine: &str) -> Dial {
        let (ports, address) = (self.clone(), format!("{machine}{PORT}"));
        Dial::over(move |_| {
            let stream = ports.open(&address);
            async move { stream.ok_or_else(|| std::io::ErrorKind::ConnectionRefused.into()) }
        })
    }

    /// A new connection, if this is the address of a port.
    pub(super) fn open(&self, address: &str) -> Option<BoxedStream> {
        let host = address.strip_suffix(PORT)?;
        let acceptor = self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(host)?.clone();
        let ((ours, theirs), status) = (duplex(BUFFER), Arc::clone(&self.status));
        tokio::spawn(async move {
            if let Some((stream, _)) = question(&acceptor, theirs).await {
                reply(stream, (status.load(Ordering::Relaxed), "")).await;
            }
        });
        Some(Box::new(ours))
    }
}
