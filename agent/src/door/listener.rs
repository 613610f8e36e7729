//! Accepting connections: TLS handshakes, and a limit on how many there are.
//!
//! tonic's own TLS reads its certificates once; this one uses those in force for each handshake.

use std::{future::pending, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tracing::{debug, info, warn};
use usher_common::stream::BoxedStream;

use super::{
    connection::{Connection, Peer},
    live::Live,
};
use crate::{caller::Caller, config::Limits};

/// The pause after a failed accept. Most often the process is out of file descriptors, until peers hang up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections may wait for the server after their handshakes.
const READY_CONNECTIONS: usize = 4;

/// An open door.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Streams { incoming: mpsc::UnboundedReceiver<(BoxedStream, SocketAddr)>, caller: Option<Caller> },
}

impl Listener {
    /// The bound address, `None` behind a door of streams.
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

/// Accepts connections until the stream is dropped. Handshakes run concurrently: a slow peer delays nobody else.
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

/// What it takes to admit a connection.
#[derive(Clone)]
struct Entrance {
    live: Arc<Live>,
    limits: Limits,
    /// The caller on every connection if there is no TLS.
    caller: Option<Caller>,
    ready: mpsc::Sender<io::Result<Connection>>,
}

async fn accept(mut listener: Listener, entrance: &Entrance) {
    let limit = entrance.limits.connections;
    let permits = Arc::new(Semaphore::new(limit));
    loop {
        // Take the permit before the connection: peers beyond the limit wait in the kernel and cost nothing.
        let permit = match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                warn!(connections = limit, "all connections are in use; new peers wait");
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                permit
            }
        };
        match listener.accept().await {
            Ok((stream, address)) => drop(tokio::spawn(entrance.clone().admit(stream, address, permit))),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Entrance {
    /// Identifies a new peer and passes its connection to the server.
    async fn admit(self, stream: BoxedStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        let admitted = match &self.caller {
            Some(caller) => Some((stream, caller.clone())),
            None => tokio::select! {
                biased;
                () = self.ready.closed() => None,
                admitted = self.shake_hands(stream, address) => admitted,
            },
        };
        if let Some((stream, caller)) = admitted {
            let connection = Connection::new(stream, Peer::new(address, caller), self.limits.idle_timeout, permit);
            // An error means that the server has stopped.
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
