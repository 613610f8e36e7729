//! The agents of thousands of machines in one process: they answer after a while, and do nothing but reboot. What an agent really is
//! has other doubles; these are there to count calls and to measure how many of them usher can ask.

mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Server, server::Connected};
use usher_coordinator::agents::Dial;
use usher_proto::v1::{node_control_server::NodeControlServer, node_info_server::NodeInfoServer};

use self::service::Service;

/// What a connection in memory holds that was not read yet.
const BUFFER: usize = 64 * 1024;
/// From the call of a reboot to the end of the machine, and from there to its next boot.
const GOES_DOWN_AFTER: Duration = Duration::from_millis(500);
const BOOT_TAKES: Duration = Duration::from_secs(30);

/// What happens to a machine that reboots: it goes down, or it comes up with a boot id.
pub enum Power<'a> {
    Off,
    Boot(&'a str),
}

type OnPower = Arc<dyn Fn(&str, Power<'_>) + Send + Sync>;

/// The agents. Clones are the same.
#[derive(Clone)]
pub struct StubAgents {
    state: Arc<Mutex<State>>,
    answers_in: Duration,
    on_power: OnPower,
}

#[derive(Default)]
struct State {
    /// How often each call was made, by its name.
    calls: BTreeMap<&'static str, usize>,
    boots: BTreeMap<String, usize>,
    down: BTreeSet<String>,
    connections: BTreeMap<String, Vec<AbortHandle>>,
    highest_epoch: u64,
    tasks: JoinSet<()>,
}

/// The boot id of a machine's n-th boot.
pub fn boot_id(machine: &str, boot: usize) -> String {
    format!("{boot}-boot-of-{machine}")
}

impl StubAgents {
    /// Agents that take this long for an answer. `on_power` is told of each machine that goes down or comes up.
    pub fn new(answers_in: Duration, on_power: impl Fn(&str, Power<'_>) + Send + Sync + 'static) -> Self {
        Self { state: Arc::default(), answers_in, on_power: Arc::new(on_power) }
    }

    /// How often each call was made so far, by its name.
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.lock().calls.clone()
    }

    /// The way to them in this process. An address is the machine's name with a port.
    pub fn dial(&self) -> Dial {
        let agents = self.clone();
        Dial::over(move |address| {
            let opened = agents.open(address.split(':').next().unwrap_or_default());
            async move { Ok(Box::new(opened?) as _) }
        })
        .without_tls()
    }

    /// Serves all of them on one listener, for as long as this runs. A caller says by the name in its handshake (`w1.agents`) which
    /// machine it means.
    pub async fn serve(&self, listener: TcpListener, tls: TlsAcceptor) {
        loop {
            // An accept that fails concerns one client, who will come again.
            let Ok((stream, _)) = listener.accept().await else { continue };
            // As agents do.
            let Ok(()) = stream.set_nodelay(true) else { continue };
            let (agents, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move { agents.greet(stream, tls).await });
        }
    }

    async fn greet(self, stream: TcpStream, tls: TlsAcceptor) {
        let Ok(stream) = tls.accept(stream).await else { return };
        let name = stream.get_ref().1.server_name().and_then(|name| name.split('.').next()).map(str::to_owned);
        if let Some(machine) = name {
            self.converse(machine, stream).await;
        }
    }

    fn open(&self, machine: &str) -> io::Result<DuplexStream> {
        let mut state = self.lock();
        if state.down.contains(machine) {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
        }
        let ((ours, mut near), (mut far, theirs)) = (duplex(BUFFER), duplex(BUFFER));
        let (agents, name) = (self.clone(), machine.to_owned());
        state.tasks.spawn(async move { agents.converse(name, theirs).await });
        // The server has a task of its own for what it serves, so that the line is what a machine that goes down takes with it.
        let connection = state.tasks.spawn(async move {
            // How it ends is for its two ends to see.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
        state.connections.entry(machine.to_owned()).or_default().push(connection);
        Ok(ours)
    }

    async fn converse<S>(self, machine: String, stream: S)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let service = Service { agents: self, machine };
        let server = Server::builder()
            .add_service(NodeInfoServer::new(service.clone()))
            .add_service(NodeControlServer::new(service));
        // It ends with its one connection; how that ended is the caller's to tell.
        let _ = server.serve_with_incoming(tokio_stream::once(Ok::<_, io::Error>(stream))).await;
    }

    /// The machine goes down, with its agent's connections, and comes up again.
    async fn cycle(self, machine: String) {
        sleep(GOES_DOWN_AFTER).await;
        let connections = {
            let mut state = self.lock();
            state.down.insert(machine.clone());
            state.connections.remove(&machine)
        };
        connections.into_iter().flatten().for_each(|connection| connection.abort());
        (self.on_power)(&machine, Power::Off);
        sleep(BOOT_TAKES).await;
        let boot = {
            let mut state = self.lock();
            state.down.remove(&machine);
            let boots = state.boots.entry(machine.clone()).or_insert(1);
            *boots += 1;
            boot_id(&machine, *boots)
        };
        (self.on_power)(&machine, Power::Boot(&boot));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
