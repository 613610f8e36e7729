//! The agent, put together.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{service::Routes, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::{info, warn};
use usher_proto::v1::{node_control_server::NodeControlServer, node_info_server::NodeInfoServer};

use crate::{
    bus::{Address, Bus},
    config::Config,
    guard::Guard,
    listener::{self, Door},
    live::Live,
    node::{Node, Places},
    notify,
    operations::Operations,
    service::Service,
    store::StoreError,
    tls::TlsError,
};

/// Largest request that is read. The largest that makes sense is a few hundred bytes.
const REQUEST_LIMIT: usize = 64 * 1024;

/// Calls at once on one connection.
const STREAMS_PER_CONNECTION: u32 = 32;

/// How long a call other than a watch may take: longer than the agent waits for D-Bus.
const CALL_LIMIT: Duration = Duration::from_secs(40);

/// Between two HTTP/2 pings to a peer, and how long its answer may take: a peer whose machine died frees its place.
const PING_EVERY: Duration = Duration::from_secs(30);

/// How long calls in progress have to end when the agent stops. Watches are ended at once; the rest takes milliseconds.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without credentials nobody could be answered.
    #[error("the TLS files cannot be used")]
    Tls(#[from] TlsError),
    /// Without a state directory nothing could be accepted.
    #[error("the state directory cannot be used")]
    Store(#[from] StoreError),
    /// The address is taken or is not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// The contract's own descriptors are broken.
    #[error("gRPC reflection cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Everything through which an agent meets its world, besides the files of its configuration.
pub struct Edges {
    /// Where callers come in.
    pub door: Door,
    /// Where systemd and login1 are.
    pub bus: Address,
    /// Files and programs of the machine.
    pub places: Places,
}

impl Edges {
    /// The machine's own, as `config` names them.
    pub fn of(config: &Config) -> Self {
        Self {
            door: Door::Tcp(config.listen),
            bus: config.bus.clone().map_or(Address::System, Address::Peer),
            places: Places::default(),
        }
    }
}

/// A running agent. Dropped, it stops on the spot, as if it had been killed.
#[derive(Debug)]
pub struct Agent {
    address: Option<SocketAddr>,
    live: Arc<Live>,
    health: HealthReporter,
    operations: Operations,
    stop: CancellationToken,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    _tasks: DropGuard,
}

impl Agent {
    /// Starts an agent: reads certificates and state, goes on with an operation that was left running, and listens.
    /// `file` is where `config` came from.
    ///
    /// # Errors
    ///
    /// If it could not serve. A bus that cannot be reached is no reason: the agent answers and says so.
    pub async fn start(file: PathBuf, config: Config) -> Result<Self, StartError> {
        let edges = Edges::of(&config);
        Self::start_on(file, config, edges).await
    }

    /// The same with other edges than the machine's own. With [`Door::Streams`] and a caller no PEM file is read.
    ///
    /// # Errors
    ///
    /// As [`Agent::start`].
    pub async fn start_on(file: PathBuf, config: Config, edges: Edges) -> Result<Self, StartError> {
        let Edges { door, bus, places } = edges;
        let live = Live::new(file, config.clone(), door.has_tls())?;
        for warning in live.warnings() {
            warn!("{warning}");
        }
        let stop = CancellationToken::new();
        let tasks = stop.clone().drop_guard();
        let listen = |source| StartError::Listen { address: config.listen, source };
        let listener = door.open().await.map_err(listen)?;
        let address = listener.address();
        let (limits, reflection) = (config.limits, config.reflection);
        let node = Arc::new(Node::new(config, Bus::new(bus), places));
        let operations = Operations::open(Arc::clone(&node), stop.clone())?;

        let service = Service::new(node, Arc::clone(&live), operations.clone());
        let (health, routes) = routes(service, reflection).await?;
        let server = Server::builder()
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(PING_EVERY))
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .timeout(CALL_LIMIT)
            .layer(Guard::new(Arc::clone(&live)))
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                listener::incoming(listener, Arc::clone(&live), limits),
                stop.clone().cancelled_owned(),
            );
        until(&stop, Arc::clone(&live).follow());
        until(&stop, notify::keep_telling(operations.follow_latest()));
        info!(address = address.map(tracing::field::display), "listening");
        Ok(Self { address, live, health, operations, stop, server: tokio::spawn(server), _tasks: tasks })
    }

    /// The TCP address it listens on, `None` behind a door of streams.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What may change while it runs.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Its operations.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Stops: accepts nobody any more, ends watches, lets other calls end. A running operation stays recorded as running, for
    /// the next agent to go on with.
    pub async fn stop(mut self) {
        for service in ["", "usher.agent.v1.NodeInfo", "usher.agent.v1.NodeControl"] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
        self.stop.cancel();
        if timeout(STOP_WITHIN, &mut self.server).await.is_err() {
            info!("some calls had not ended when the agent stopped");
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn routes(service: Service, reflection: bool) -> Result<(HealthReporter, Routes), StartError> {
    let info = NodeInfoServer::new(service.clone()).max_decoding_message_size(REQUEST_LIMIT);
    let control = NodeControlServer::new(service).max_decoding_message_size(REQUEST_LIMIT);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<NodeInfoServer<Service>>().await;
    health.set_serving::<NodeControlServer<Service>>().await;
    let mut routes = Routes::new(info).add_service(control).add_service(health_service);
    if reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(usher_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Both versions: tools of some years ago speak only the older one.
        routes = routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?);
    }
    Ok((health, routes))
}

/// Runs a task until the agent stops.
fn until(stop: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(stop.clone().run_until_cancelled_owned(task));
}
