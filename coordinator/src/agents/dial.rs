//! How a byte stream to a machine is opened: over TCP, or as a test wants it.

use std::{fmt, future::Future, io, sync::Arc};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};

/// What a connection to an agent is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream of any kind.
pub type BoxedStream = Box<dyn Stream>;

/// Opens a stream to `HOST:PORT`. Cheap to clone.
#[derive(Clone)]
pub struct Dial {
    open: Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<BoxedStream>> + Send + Sync>,
    /// Whether both sides prove over it who they are.
    pub(super) tls: bool,
}

impl Dial {
    /// TCP with mutual TLS over it, as every agent on a machine wants it.
    pub fn tcp() -> Self {
        Self::over(tcp)
    }

    /// Mutual TLS over whatever `open` gives.
    pub fn over<F>(open: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<BoxedStream>> + Send + 'static,
    {
        Self { open: Arc::new(move |address| Box::pin(open(address))), tls: true }
    }

    /// The same without TLS, and without any of its files: for an agent in the same process, which knows its caller.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self { tls: false, ..self }
    }

    pub(crate) async fn open(&self, address: &str) -> io::Result<BoxedStream> {
        (self.open)(address.to_owned()).await
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").field("tls", &self.tls).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot resolve its address")]
struct Unresolved(#[source] io::Error);

async fn tcp(address: String) -> io::Result<BoxedStream> {
    let resolved = lookup_host(address).await.map_err(|error| io::Error::new(error.kind(), Unresolved(error)))?;
    let tcp = TcpStream::connect(&resolved.collect::<Vec<_>>()[..]).await?;
    // Calls are small and wait for their answers.
    tcp.set_nodelay(true)?;
    Ok(Box::new(tcp))
}
