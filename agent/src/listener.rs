//! Connections: accepted, shaken hands with, counted, and closed when nobody uses them.
//!
//! tonic's own TLS reads its certificates once; this loop takes those in force for each handshake.

mod connection;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tracing::{debug, info, warn};

pub use connection::{Connection, InUse, Peer};

use crate::{config::Limits, identity::Caller, live::Live};

/// Rest after a failed accept: most often the process is out of file descriptors, which mends itself as peers go.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Finished handshakes that wait for the server to take them.
const READY_CONNECTIONS: usize = 4;

/// Accepts connections for as long as the stream lives. Handshakes run beside each other: a slow peer holds nobody up.
pub fn incoming(listener: TcpListener, live: Arc<Live>, limits: Limits) -> impl Stream<Item = io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(READY_CONNECTIONS);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(limits.connections));
        tokio::select! {
            () = accept(listener, live, limits, places, ready.clone()) => {}
            () = ready.closed() => {}
        }
    });
    ReceiverStream::new(stream)
}

async fn accept(
    listener: TcpListener,
    live: Arc<Live>,
    limits: Limits,
    places: Arc<Semaphore>,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    loop {
        // The place is taken before the connection: those beyond the limit wait in the kernel and cost nothing.
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                warn!(connections = limits.connections, "all connections are in use; new peers wait");
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                place
            }
        };
        match listener.accept().await {
            Ok((tcp, _)) => drop(tokio::spawn(shake_hands(tcp, Arc::clone(&live), limits, place, ready.clone()))),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn shake_hands(
    tcp: TcpStream,
    live: Arc<Live>,
    limits: Limits,
    place: OwnedSemaphorePermit,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    let Ok(address) = tcp.peer_addr() else { return };
    if let Err(error) = tcp.set_nodelay(true) {
        debug!(%address, %error, "no TCP_NODELAY: answers may be slow");
    }
    let handshake = TlsAcceptor::from(live.server()).accept(tcp);
    let tls = tokio::select! {
        tls = timeout(limits.handshake_timeout, handshake) => tls,
        () = ready.closed() => return,
    };
    let tls = match tls {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return info!(%address, %error, "refused a TLS handshake"),
        Err(_) => return info!(%address, "a TLS handshake took too long"),
    };
    let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    match certificate.map(Caller::of) {
        Some(Ok(caller)) => {
            let connection = Connection::new(tls, Peer::new(address, caller), limits.idle_timeout, place);
            // The server has gone if nobody takes it.
            let _ = ready.send(Ok(connection)).await;
        }
        Some(Err(error)) => info!(%address, %error, "refused a peer"),
        None => info!(%address, "refused a peer without a certificate"),
    }
}
