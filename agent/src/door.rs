//! The door: who gets in, over what, and which calls they may make.

mod connection;
mod guard;
mod listener;
pub mod live;
pub mod tls;

use std::{io, net::SocketAddr};

use tokio::{net::TcpListener, sync::mpsc};

pub(crate) use connection::Peer;
pub(crate) use guard::Guard;
pub(crate) use listener::{Listener, incoming};

use crate::{caller::Caller, stream::BoxedStream};

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
