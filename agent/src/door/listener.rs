//! Where connections come from.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
};

use tokio::{net::TcpListener, sync::mpsc};
use tracing::debug;
use usher_common::stream::BoxedStream;

use crate::caller::Caller;

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

    /// The socket itself, to be handed over to the next process; `None` behind a door of streams.
    pub(crate) fn socket(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned().map(Some),
            Self::Streams { .. } => Ok(None),
        }
    }

    /// The caller on every connection, if there is no TLS.
    pub(super) fn caller(&self) -> Option<Caller> {
        match self {
            Self::Tcp(_) => None,
            Self::Streams { caller, .. } => caller.clone(),
        }
    }

    pub(super) async fn accept(&mut self) -> io::Result<(BoxedStream, SocketAddr)> {
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
