//! The agent, put together.

use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::{info, warn};
use usher_common::{chain, stream::Dial};
use usher_proto::v1::{
    node_control_server::NodeControlServer, node_info_server::NodeInfoServer, node_local_server::NodeLocalServer,
};

use crate::{
    audit::Audit,
    binary::{Binary, Replaced},
    config::{Config, InForce},
    counters::Counters,
    disk::Disk,
    door::{Door, Entrance, Guard, Listener, LocalDoor, REQUEST_LIMIT, live::Live},
    machine::{Machine, Places, bus::Address},
    metrics::{self, Metrics},
    notify,
    operations::{Operations, Quiet},
    reexec,
    service::Service,
};

/// How long calls in progress may take to end when the agent stops. Watches end at once, the rest takes milliseconds.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// How long those are served as before who came in last, when the agent gives way to another binary: their first calls take
/// milliseconds, and would be lost on a connection that ends at once.
const LAST_SERVED: Duration = Duration::from_millis(500);

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or is not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// `listen` of the configuration.
        address: SocketAddr,
        /// What `bind` returned.
        source: io::Error,
    },
    /// The contract's own descriptors are broken.
    #[error("gRPC reflection cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Everything an agent uses of its surroundings, besides the files that its configuration names.
pub struct Edges {
    /// Where callers come in.
    pub door: Door,
    /// Where the node's own root comes in. `None`: nowhere.
    pub local: Option<LocalDoor>,
    /// Where systemd and login1 are.
    pub bus: Address,
    /// How probes reach the units.
    pub dial: Dial,
    /// Holds the operations and the facts about the machine.
    pub disk: Disk,
    /// Paths that no configuration moves.
    pub places: Places,
    /// What the agent's process executes, to be replaced by another binary once that is installed. `None`: it stays.
    pub binary: Option<Binary>,
}

impl Edges {
    /// The machine's own, as `config` names them.
    pub fn of(config: &Config) -> Self {
        Self {
            door: Door::Tcp(config.listen),
            local: Some(LocalDoor::socket(config.socket.clone())),
            bus: config.bus.clone().map_or(Address::System, Address::Peer),
            dial: Dial::tcp(),
            disk: Disk::Machine,
            places: Places::default(),
            binary: None,
        }
    }
}

/// Why an agent that nobody has stopped is to end.
#[derive(Debug)]
pub enum End {
    /// It serves nobody any more; the reason.
    Broken(String),
    /// Another binary is to be executed in its place, and nobody needs the agent now.
    Replaced(Successor),
}

/// What the next binary gets.
#[derive(Debug)]
pub struct Successor {
    /// Its version.
    pub version: String,
    /// The socket on which callers come in. Connections wait in it until the next binary takes them.
    pub socket: Option<OwnedFd>,
    _quiet: Quiet,
}

/// Where callers come in, once that is open.
#[derive(Debug, Clone, Default)]
struct WayIn(Arc<Mutex<(Option<SocketAddr>, Option<OwnedFd>)>>);

impl WayIn {
    fn open(&self, door: Door, address: SocketAddr) -> Result<Listener, StartError> {
        let opened = door.open().and_then(|listener| Ok((listener.socket()?, listener)));
        let (socket, listener) = opened.map_err(|source| StartError::Listen { address, source })?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (listener.address(), socket);
        Ok(listener)
    }

    fn address(&self) -> Option<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn take_socket(&self) -> Option<OwnedFd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }
}

/// A running agent. Dropping it stops it on the spot, as a kill does.
#[derive(Debug)]
pub struct Agent {
    way: WayIn,
    live: Arc<Live>,
    health: HealthReporter,
    closed: CancellationToken,
    stop: CancellationToken,
    server: JoinHandle<Result<(), StartError>>,
    metrics: Option<SocketAddr>,
    replaced: Replaced,
    due: mpsc::Receiver<Quiet>,
    _tasks: DropGuard,
}

impl Agent {
    /// Starts an agent: it reads certificates and state, resumes an operation that was left running, and listens. `file` is where
    /// `config` came from; it is read again when it changes. With [`Door::Streams`] and a caller no PEM file is read.
    ///
    /// As long as the PEM files cannot be used it listens on its Unix socket alone.
    ///
    /// # Errors
    ///
    /// If it cannot serve. An unreachable bus is no error: the agent starts and reports it in the node's warnings.
    pub async fn start_on(file: PathBuf, config: Config, edges: Edges) -> Result<Self, StartError> {
        let Edges { door, local, bus, dial, disk, places, binary } = edges;
        let (listen, reflection, metrics) = (config.listen, config.reflection, config.metrics);
        let config = Arc::new(InForce::new(config));
        let live = Live::new(file.clone(), Arc::clone(&config), door.has_tls());
        for warning in live.warnings() {
            warn!("{warning}");
        }
        let (closed, stop) = (CancellationToken::new(), CancellationToken::new());
        let tasks = stop.clone().drop_guard();
        let (way, mut without_callers) = (WayIn::default(), live.closed());
        let opened = if without_callers.borrow().is_none() { Ok(way.open(door, listen)?) } else { Err(door) };
        let metrics = match metrics {
            Some(address) => {
                Some(metrics::listen(address).await.map_err(|source| StartError::Listen { address, source })?)
            }
            None => None,
        };
        // Configuration and PEM files are the machine's. Without its disk nobody changes them.
        let in_memory = disk.is_memory();
        let audit = Audit::open(disk.clone(), &config.load().state_directory);
        let machine = Arc::new(Machine::new(config, bus, disk, dial, places));
        let counters = Arc::new(Counters::default());
        let operations = Operations::open(Arc::clone(&machine), Arc::clone(&counters), stop.clone());

        let (replaced, (tell, due)) = (Replaced::default(), mpsc::channel(1));
        if let Some(binary) = binary {
            let (replaced, live, operations) = (replaced.clone(), Arc::clone(&live), operations.clone());
            let watch = reexec::Watch { binary, config: file, replaced, live, operations };
            until(&stop, async move { _ = tell.send(watch.due().await).await });
        }
        let metrics_address = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = metrics {
            let (machine, live) = (Arc::clone(&machine), Arc::clone(&live));
            let (operations, audit) = (operations.clone(), audit.clone());
            let (counters, replaced) = (Arc::clone(&counters), replaced.clone());
            until(&stop, Metrics { machine, live, operations, audit, counters, replaced }.serve(listener));
        }
        let service = Service::new(machine, Arc::clone(&live), operations.clone(), audit.clone(), replaced.clone());
        let (health, routes) = routes(service, reflection).await?;
        let guard = Guard::new(Arc::clone(&live), audit, counters);
        let entrance = Entrance::new(Arc::clone(&live), guard, routes.prepare(), closed.clone(), stop.clone());
        if let Some(local) = local {
            open_locally(local, &entrance, &live);
        }
        if !in_memory {
            until(&stop, Arc::clone(&live).follow());
        }
        until(&stop, notify::report(operations.follow_latest(), live.closed()));
        let (its_way, its_stop) = (way.clone(), closed.clone());
        let server = tokio::spawn(async move {
            let listener = match opened {
                Ok(listener) => listener,
                // A port that nobody can be served on stays closed: callers tell that from a machine that drops their calls.
                Err(door) => tokio::select! {
                    biased;
                    () = its_stop.cancelled() => return Ok(()),
                    Ok(_) = without_callers.wait_for(Option::is_none) => its_way.open(door, listen)?,
                },
            };
            info!(address = listener.address().map(tracing::field::display), "listening");
            entrance.accept(listener).await;
            Ok(())
        });
        let metrics = metrics_address;
        Ok(Self { way, live, health, closed, stop, server, metrics, replaced, due, _tasks: tasks })
    }

    /// The TCP address it listens on. `None` behind a door of streams, and until the PEM files can be used.
    pub fn address(&self) -> Option<SocketAddr> {
        self.way.address()
    }

    /// Where metrics are served, if they are.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The settings that may change while it runs.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Waits until the agent is to end although nobody has stopped it.
    pub async fn end(&mut self) -> End {
        tokio::select! {
            biased;
            ended = &mut self.server => End::Broken(match ended {
                Ok(Ok(())) => "its server has ended".to_owned(),
                Ok(Err(error)) => chain(&error),
                Err(error) => error.to_string(),
            }),
            Some(quiet) = self.due.recv() => {
                let version = self.replaced.now().map(|replaced| replaced.version.clone()).unwrap_or_default();
                End::Replaced(Successor { version, socket: self.way.take_socket(), _quiet: quiet })
            }
        }
    }

    /// Stops for another binary, which goes on with the socket: callers who come from now on wait for it.
    pub async fn give_way(self) {
        self.closed.cancel();
        sleep(LAST_SERVED).await;
        self.stop().await;
    }

    /// Stops: accepts no more connections, ends watches, and lets other calls end. A running operation stays recorded as
    /// running, and the next agent resumes it.
    pub async fn stop(mut self) {
        // It would go on to take connections that nobody serves.
        drop(self.way.take_socket());
        for service in ["", "usher.agent.v1.NodeInfo", "usher.agent.v1.NodeControl"] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
        self.closed.cancel();
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
    let local = NodeLocalServer::new(service.clone()).max_decoding_message_size(REQUEST_LIMIT);
    let control = NodeControlServer::new(service).max_decoding_message_size(REQUEST_LIMIT);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<NodeInfoServer<Service>>().await;
    health.set_serving::<NodeControlServer<Service>>().await;
    let health_service = health_service.max_decoding_message_size(REQUEST_LIMIT);
    let mut routes = Routes::new(info).add_service(control).add_service(local).add_service(health_service);
    if reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(usher_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Both versions: older tools speak only v1alpha.
        routes = routes
            .add_service(builder().build_v1()?.max_decoding_message_size(REQUEST_LIMIT))
            .add_service(builder().build_v1alpha()?.max_decoding_message_size(REQUEST_LIMIT));
    }
    Ok((health, routes))
}

/// Serves the node's own root. An agent without that socket is still the way to the node for everybody else.
fn open_locally(door: LocalDoor, entrance: &Entrance, live: &Live) {
    match door.open() {
        // It ends with the agent's stop, and so do its connections.
        Ok(listener) => drop(tokio::spawn(entrance.clone().accept_local(listener))),
        Err(error) => live.warn_of_socket(&error),
    }
}

/// Runs a task until the agent stops.
fn until(stop: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(stop.clone().run_until_cancelled_owned(task));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{caller::Caller, disk::MemoryDisk};

    #[tokio::test]
    async fn a_server_that_has_ended_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        #[allow(clippy::disallowed_methods)] // the test's own file
        std::fs::write(&file, "[tls]\ncertificate = 'a'\nkey = 'b'\nclient_ca = 'c'\n").unwrap();
        let config = Config::load(&file).unwrap();
        let (_incoming, streams) = tokio::sync::mpsc::unbounded_channel();
        let door = Door::Streams { incoming: streams, caller: Some(Caller::named(["CN=operator"])) };
        let bus = Address::Peer("unix:path=/nonexistent".to_owned());
        let edges = Edges { door, bus, local: None, disk: Disk::Memory(MemoryDisk::default()), ..Edges::of(&config) };
        let mut agent = Agent::start_on(file, config, edges).await.unwrap();
        agent.server.abort();
        assert!(matches!(agent.end().await, End::Broken(why) if why.contains("cancelled")));
    }
}
