//! Byte streams: connections to and from the agent need not be sockets.

use std::{fmt, io, sync::Arc};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// A connected byte stream: TCP in production, `tokio::io::duplex` in a test that pauses time.
pub type BoxedStream = Box<dyn ByteStream>;

/// What a [`BoxedStream`] can do; implemented for every type that can.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Opens the connections of the agent's probes.
#[derive(Clone)]
pub struct Dial(Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<BoxedStream>> + Send + Sync>);

impl Dial {
    /// Plain TCP, as on every machine.
    pub fn tcp() -> Self {
        Self::over(|address| async { Ok(Box::new(TcpStream::connect(address).await?) as BoxedStream) })
    }

    /// Connections as `open` makes them from `HOST:PORT`, with IPv6 addresses in brackets.
    pub fn over<F>(open: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<BoxedStream>> + Send + 'static,
    {
        Self(Arc::new(move |address| Box::pin(open(address))))
    }

    pub(crate) async fn open(&self, address: String) -> io::Result<BoxedStream> {
        (self.0)(address).await
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}
