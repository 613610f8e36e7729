//! A door of streams in memory, from the callers' side: whole agents run behind it in paused time.

use std::{io, net::SocketAddr};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, duplex},
    sync::mpsc::{UnboundedSender, unbounded_channel},
};
use tonic::transport::{Channel, Endpoint, Error};
use tower::service_fn;
use usher_agent::{caller::Caller, door::Door};
use usher_common::stream::BoxedStream;

/// Where callers come in. Clones are the same door.
#[derive(Clone)]
pub struct StreamDoor {
    incoming: UnboundedSender<(BoxedStream, SocketAddr)>,
    buffer: usize,
}

impl StreamDoor {
    /// A door, and the agent's side of it. `caller` is on every stream; without one each begins with a TLS handshake. `buffer` is
    /// what a stream holds before its writer must wait, in bytes.
    pub fn new(caller: Option<Caller>, buffer: usize) -> (Self, Door) {
        let (sender, incoming) = unbounded_channel();
        (Self { incoming: sender, buffer }, Door::Streams { incoming, caller })
    }

    /// A connection from this address, byte by byte.
    ///
    /// # Errors
    /// If the agent has gone.
    pub fn dial(&self, from: SocketAddr) -> io::Result<DuplexStream> {
        let (theirs, ours) = duplex(self.buffer);
        let sent = self.incoming.send((Box::new(theirs), from));
        sent.map(|()| ours).map_err(|_| io::Error::other("the agent has gone"))
    }

    /// A connection for calls, with TLS if the endpoint has it. It is made anew when the agent has ended it.
    ///
    /// # Errors
    /// If the agent does not let the caller in.
    pub async fn connect(&self, endpoint: Endpoint, from: SocketAddr) -> Result<Channel, Error> {
        self.connect_through(endpoint, from, |stream| stream).await
    }

    /// [`StreamDoor::connect`] with something around each stream.
    ///
    /// # Errors
    /// As [`StreamDoor::connect`].
    pub async fn connect_through<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        endpoint: Endpoint,
        from: SocketAddr,
        wrap: impl Fn(DuplexStream) -> S + Clone + Send + 'static,
    ) -> Result<Channel, Error> {
        let door = self.clone();
        let dial = service_fn(move |_| {
            let stream = door.dial(from).map(|stream| TokioIo::new(wrap(stream)));
            async move { stream }
        });
        endpoint.connect_with_connector(dial).await
    }
}
