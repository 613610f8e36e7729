//! Byte streams: a connection between usher and the outside need not be a socket.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};

/// A connected byte stream: TCP in production, `tokio::io::duplex` in a test that pauses time.
pub type BoxedStream = Box<dyn ByteStream>;

/// What a [`BoxedStream`] can do; implemented for every type that can.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

type Opening = Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>>;

/// Opens streams to `HOST:PORT`, with IPv6 addresses in brackets. Cheap to clone.
#[derive(Clone)]
pub struct Dial(Arc<dyn Fn(String) -> Opening + Send + Sync>);

impl Dial {
    /// TCP.
    pub fn tcp() -> Self {
        Self::over(tcp)
    }

    /// Whatever `open` gives.
    pub fn over<F>(open: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<BoxedStream>> + Send + 'static,
    {
        Self(Arc::new(move |address| Box::pin(open(address))))
    }

    /// Opens a stream.
    ///
    /// # Errors
    ///
    /// If the host has no address, or none of its addresses answers.
    pub async fn open(&self, address: String) -> io::Result<BoxedStream> {
        (self.0)(address).await
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot resolve its address")]
struct Unresolved(#[source] io::Error);

#[allow(clippy::disallowed_methods)] // the one place that opens connections
async fn tcp(address: String) -> io::Result<BoxedStream> {
    let resolved = lookup_host(address).await.map_err(|error| io::Error::new(error.kind(), Unresolved(error)))?;
    let tcp = TcpStream::connect(&resolved.collect::<Vec<_>>()[..]).await?;
    // Calls are small and wait for their answers.
    tcp.set_nodelay(true)?;
    Ok(Box::new(tcp))
}
