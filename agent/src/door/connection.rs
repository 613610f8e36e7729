//! One peer's connection: who it is, whether it is in use, and closing it when it is idle.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};
use tonic::transport::server::Connected;
use usher_common::stream::BoxedStream;

use crate::caller::Caller;

/// The peer at the other end. tonic puts it into the extensions of each request.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) caller: Caller,
    usage: Arc<Mutex<Usage>>,
}

/// The calls on a connection. HTTP/2 pings do not count: a client that only keeps its connection alive is idle.
#[derive(Debug)]
struct Usage {
    calls: usize,
    last: Instant,
}

/// Marks a call in progress on the connection until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse(Arc<Mutex<Usage>>);

impl Peer {
    pub(super) fn new(address: SocketAddr, caller: Caller) -> Self {
        Self { address, caller, usage: Arc::new(Mutex::new(Usage { calls: 0, last: Instant::now() })) }
    }

    /// Counts a call until the returned guard is dropped.
    pub(crate) fn begin_call(&self) -> InUse {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.calls += 1;
        drop(usage);
        InUse(Arc::clone(&self.usage))
    }

    /// When the last call ended, `None` while one is in progress.
    fn unused_since(&self) -> Option<Instant> {
        let usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        (usage.calls == 0).then_some(usage.last)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut usage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        usage.calls -= 1;
        usage.last = Instant::now();
    }
}

/// A connection after its handshake. Once it has been idle for too long, reads end as if the peer had hung up.
pub(crate) struct Connection {
    stream: BoxedStream,
    peer: Peer,
    idle_timeout: Duration,
    idle: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(stream: BoxedStream, peer: Peer, idle_timeout: Duration, permit: OwnedSemaphorePermit) -> Self {
        let idle = Box::pin(sleep_until(Instant::now() + idle_timeout));
        Self { stream, peer, idle_timeout, idle, _permit: permit }
    }

    /// Ready once the connection has been idle for the timeout.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.idle.as_mut().poll(cx));
            let now = Instant::now();
            let ends = self.peer.unused_since().unwrap_or(now) + self.idle_timeout;
            if ends <= now {
                return Poll::Ready(());
            }
            self.idle.as_mut().reset(ends);
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            return Poll::Ready(read);
        }
        self.poll_idle(cx).map(Ok)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
