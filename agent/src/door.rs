//! The door: connections, TLS, and which calls a caller may make.
//!
//! Callers come over the network, the node's own root over a Unix socket (`local`).
//! A connection passes these in order: `entrance` (two pools: strangers and callers), `connection` (HTTP/2 and when it
//! ends), `guard` (each call, with its `question` and its `answer`). [`live`] holds what is in force: certificates, CAs, and who may do what.

mod answer;
mod connection;
mod entrance;
mod guard;
mod limiter;
mod listen;
mod listener;
pub mod live;
mod local;
mod methods;
mod patience;
mod peer;
mod places;
mod question;
mod rights;
mod strangers;
mod tags;
pub mod tls;

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use tokio::sync::mpsc;
use usher_common::stream::BoxedStream;

pub(crate) use answer::KeptUntilTaken;
pub(crate) use entrance::Entrance;
pub(crate) use guard::Guard;
pub(crate) use listener::Listener;
pub use local::{LocalDoor, LocalWay};
pub(crate) use patience::Patience;
pub(crate) use peer::Peer;
pub(crate) use question::REQUEST_LIMIT;
pub(crate) use tags::Tags;

use crate::caller::Caller;

/// Where callers connect.
pub enum Door {
    /// Listens on this TCP address, with TLS.
    Tcp(SocketAddr),
    /// Goes on with a socket that listens already, with TLS: that of the process before this one.
    Inherited(TcpListener),
    /// Takes connected streams that are no sockets, each with the address it stands for. For tests: over
    /// `tokio::io::duplex` a whole agent runs in paused time.
    Streams {
        /// New connections. When the sender is dropped, no more come, and open ones stay open.
        incoming: mpsc::UnboundedReceiver<(BoxedStream, SocketAddr)>,
        /// The caller on every stream, without TLS. `None`: each stream starts with a TLS handshake, as over TCP.
        caller: Option<Caller>,
    },
}

impl Door {
    /// Whether TLS identifies the caller.
    pub(crate) fn has_tls(&self) -> bool {
        !matches!(self, Self::Streams { caller: Some(_), .. })
    }

    /// Listens. The runtime must run.
    pub(crate) fn open(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(address) => listen::listen(address).map(Listener::Tcp),
            Self::Inherited(socket) => {
                socket.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(socket).map(Listener::Tcp)
            }
            Self::Streams { incoming, caller } => Ok(Listener::Streams { incoming, caller }),
        }
    }
}
