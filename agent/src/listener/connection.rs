//! One peer's connection: who it is, whether it is in use, and its end when it is not.

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

use crate::{identity::Caller, stream::BoxedStream};

/// Who is at the other end. tonic puts it into the extensions of each request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address it comes from.
    pub address: SocketAddr,
    /// The names in its certificate.
    pub caller: Caller,
    usage: Arc<Mutex<Usage>>,
}

/// Calls on a connection. HTTP/2 pings do not count: a client that keeps an unused connection alive is idle all the same.
#[derive(Debug)]
struct Usage {
    calls: usize,
    last: Instant,
}

/// A call is in progress on the connection for as long as this lives.
#[derive(Debug)]
pub struct InUse(Arc<Mutex<Usage>>);

impl Peer {
    pub(super) fn new(address: SocketAddr, caller: Caller) -> Self {
        Self { address, caller, usage: Arc::new(Mutex::new(Usage { calls: 0, last: Instant::now() })) }
    }

    /// Notes that a call has begun.
    pub fn begin_call(&self) -> InUse {
        let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
        usage.calls += 1;
        drop(usage);
        InUse(Arc::clone(&self.usage))
    }

    /// Since when no call has been in progress, `None` while one is.
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

/// A connection after its handshake. Reads end as if the peer had gone once it was idle for too long.
pub struct Connection {
    stream: BoxedStream,
    peer: Peer,
    idle_timeout: Duration,
    idle: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(stream: BoxedStream, peer: Peer, idle_timeout: Duration, place: OwnedSemaphorePermit) -> Self {
        let idle = Box::pin(sleep_until(Instant::now() + idle_timeout));
        Self { stream, peer, idle_timeout, idle, _place: place }
    }

    /// Ready once the connection has been unused for the idle timeout.
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
