//! What lives while a unit of the fake systemd is active: an endpoint of the API server, a candidate of an election.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpListener;

use crate::{
    apiserver::{ApiServer, Candidate, Election, Endpoint, TlsFiles},
    pki::Identity,
    systemd::{FakeSystemd, accompany},
};

/// Between two tries to listen where a predecessor has just closed.
const LISTEN_AGAIN: Duration = Duration::from_millis(20);
/// From a component's start until it says that it is ready.
const READY_AFTER: Duration = Duration::from_millis(400);
/// How long systemd needs to restart an apiserver, and the quicker components.
const API_SERVER_TAKES: Duration = Duration::from_millis(900);
const OTHERS_TAKE: Duration = Duration::from_millis(300);

/// A unit, and what it is.
pub(super) struct Component {
    pub(super) unit: &'static str,
    /// Where it answers health checks; 0 if it does not.
    pub(super) port: u16,
    kind: Kind,
}

/// What a unit is beside its process.
pub(super) enum Kind {
    /// Nothing.
    Plain,
    /// One of the apiservers.
    ApiServer,
    /// One of the instances of an elected component.
    Elected(Arc<Election>),
}

/// What is needed to play the components of one machine.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) address: Ipv4Addr,
    pub(super) api: ApiServer,
    pub(super) identity: Identity,
    pub(super) client_ca: String,
    pub(super) systemd: FakeSystemd,
}

struct Running {
    _endpoint: Option<Endpoint>,
    candidate: Option<Candidate>,
}

impl Component {
    pub(super) fn new(unit: &'static str, port: u16, kind: Kind) -> Self {
        Self { unit, port, kind }
    }

    pub(super) fn plain(unit: &'static str) -> Self {
        Self::new(unit, 0, Kind::Plain)
    }

    /// How long its restart takes.
    pub(super) fn takes(&self) -> Duration {
        if matches!(self.kind, Kind::ApiServer) { API_SERVER_TAKES } else { OTHERS_TAKE }
    }

    /// Plays the component for as long as this runs. It starts `late` the first time, so that another may lead.
    pub(super) async fn play(self, stage: Arc<Stage>, late: Duration) {
        tokio::time::sleep(late).await;
        // When the sandbox begins, its components have been running for days.
        let is_first = AtomicBool::new(true);
        let start = || self.start(&stage, is_first.swap(false, Ordering::Relaxed));
        accompany(&stage.systemd, self.unit, start, Running::end).await;
    }

    async fn start(&self, stage: &Stage, is_first: bool) -> Running {
        let endpoint = match self.port {
            0 => None,
            port => Some(serve(stage, port).await),
        };
        if let Some(endpoint) = endpoint.as_ref().filter(|_| !is_first) {
            endpoint.ready_after(READY_AFTER);
        }
        let candidate = match &self.kind {
            Kind::Elected(election) => Some(election.start(stage.name)),
            Kind::Plain | Kind::ApiServer => None,
        };
        Running { _endpoint: endpoint, candidate }
    }
}

impl Running {
    async fn end(self) {
        if let Some(candidate) = self.candidate {
            candidate.terminate().await;
        }
    }
}

/// Listens again where the predecessor has just closed; it may take a moment until the port is free.
async fn serve(stage: &Stage, port: u16) -> Endpoint {
    let identity = &stage.identity;
    let tls = TlsFiles { certificate: &identity.certificate, key: &identity.key, client_ca: &stage.client_ca };
    loop {
        let bound = TcpListener::bind(SocketAddr::from((stage.address, port))).await;
        if let Ok(endpoint) = bound.and_then(|listener| stage.api.serve(listener, tls)) {
            return endpoint;
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}
