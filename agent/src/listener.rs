//! Connections: accepted, shaken hands with, counted, and closed when nobody uses them.
//!
//! tonic's own TLS reads its certificates once; this loop takes those in force for each handshake.

mod connection;

use std::{future::pending, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tracing::{debug, info, warn};

pub use connection::{Connection, InUse, Peer};

use crate::{config::Limits, identity::Caller, live::Live, stream::BoxedStream};

/// Rest after a failed accept: most often the process is out of file descriptors, which mends itself as peers go.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Finished handshakes that wait for the server to take them.
const READY_CONNECTIONS: usize = 4;

/// Where peers come in.
pub enum Door {
    /// Listens on this TCP address, with TLS.
    Tcp(SocketAddr),
    /// Takes connected streams that are no sockets, each with the address it stands for. A test kit's: with
    /// `tokio::io::duplex` a whole agent runs in paused time.
    Streams {
        /// Connections as they come. When the sender is gone nobody else comes, and open connections go on.
        incoming: mpsc::UnboundedReceiver<(BoxedStream, SocketAddr)>,
        /// Who calls on all of them, without TLS. `None`: each stream begins with a TLS handshake, as over TCP.
        caller: Option<Caller>,
    },
}

/// An open [`Door`].
pub(crate) enum Listener {
    Tcp(TcpListener),
    Streams { incoming: mpsc::UnboundedReceiver<(BoxedStream, SocketAddr)>, caller: Option<Caller> },
}

impl Door {
    /// Whether TLS tells who a peer is.
    pub(crate) fn has_tls(&self) -> bool {
        !matches!(self, Self::Streams { caller: Some(_), .. })
    }

    pub(crate) async fn open(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(address) => TcpListener::bind(address).await.map(Listener::Tcp),
            Self::Streams { incoming, caller } => Ok(Listener::Streams { incoming, caller }),
        }
    }
}

impl Listener {
    /// The bound address, `None` if it takes streams.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Streams { .. } => None,
        }
    }

    fn caller(&self) -> Option<Caller> {
        match self {
            Self::Tcp(_) => None,
            Self::Streams { caller, .. } => caller.clone(),
        }
    }

    async fn accept(&mut self) -> io::Result<(BoxedStream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, address) = listener.accept().await?;
                if let Err(error) = tcp.set_nodelay(true) {
                    debug!(%address, %error, "no TCP_NODELAY: answers may be slow");
                }
                Ok((Box::new(tcp), address))
            }
            Self::Streams { incoming, .. } => match incoming.recv().await {
                Some((stream, address)) => Ok((stream, address)),
                None => pending().await,
            },
        }
    }
}

/// Accepts connections for as long as the stream lives. Handshakes run beside each other: a slow peer holds nobody up.
pub(crate) fn incoming(
    listener: Listener,
    live: Arc<Live>,
    limits: Limits,
) -> impl Stream<Item = io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(READY_CONNECTIONS);
    let entrance = Entrance { live, limits, caller: listener.caller(), ready };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = entrance.ready.closed() => {}
            () = accept(listener, &entrance) => {}
        }
    });
    ReceiverStream::new(stream)
}

/// What each new connection needs to come in.
#[derive(Clone)]
struct Entrance {
    live: Arc<Live>,
    limits: Limits,
    /// Set if it is known without TLS.
    caller: Option<Caller>,
    ready: mpsc::Sender<io::Result<Connection>>,
}

async fn accept(mut listener: Listener, entrance: &Entrance) {
    let limit = entrance.limits.connections;
    let places = Arc::new(Semaphore::new(limit));
    loop {
        // The place is taken before the connection: those beyond the limit wait in the kernel and cost nothing.
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                warn!(connections = limit, "all connections are in use; new peers wait");
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                place
            }
        };
        match listener.accept().await {
            Ok((stream, address)) => drop(tokio::spawn(entrance.clone().admit(stream, address, place))),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

impl Entrance {
    /// Finds out who a new peer is, and hands its connection to the server.
    async fn admit(self, stream: BoxedStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        let admitted = match &self.caller {
            Some(caller) => Some((stream, caller.clone())),
            None => tokio::select! {
                biased;
                () = self.ready.closed() => None,
                admitted = self.shake_hands(stream, address) => admitted,
            },
        };
        if let Some((stream, caller)) = admitted {
            let connection = Connection::new(stream, Peer::new(address, caller), self.limits.idle_timeout, place);
            // The server has gone if nobody takes it.
            let _ = self.ready.send(Ok(connection)).await;
        }
    }

    async fn shake_hands(&self, stream: BoxedStream, address: SocketAddr) -> Option<(BoxedStream, Caller)> {
        let handshake = TlsAcceptor::from(self.live.server()?).accept(stream);
        let tls = match timeout(self.limits.handshake_timeout, handshake).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                info!(%address, %error, "refused a TLS handshake");
                return None;
            }
            Err(_) => {
                info!(%address, "a TLS handshake took too long");
                return None;
            }
        };
        match tls.get_ref().1.peer_certificates().and_then(<[_]>::first).map(Caller::of) {
            Some(Ok(caller)) => Some((Box::new(tls), caller)),
            Some(Err(error)) => {
                info!(%address, %error, "refused a peer");
                None
            }
            None => {
                info!(%address, "refused a peer without a certificate");
                None
            }
        }
    }
}
