//! An agent over streams in memory, without TLS: what is fuzzed lies behind the handshake, which is rustls'.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::mpsc::{UnboundedSender, unbounded_channel},
};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;
use usher_agent::{caller, door::Door};
use usher_common::stream::BoxedStream;
use usher_testkit::rig::agent::Rig;

/// More than the largest input.
const BUFFER: usize = 1 << 20;

/// Where callers come in.
#[derive(Clone)]
pub(super) struct Plain(UnboundedSender<(BoxedStream, std::net::SocketAddr)>);

/// Starts the rig's agent for a caller who is an operator.
pub(super) async fn start(rig: &mut Rig) -> Plain {
    let (sender, incoming) = unbounded_channel();
    let caller = Some(caller::Caller::named(["CN=alice"]));
    rig.start_with(|edges| edges.door = Door::Streams { incoming, caller }).await;
    Plain(sender)
}

impl Plain {
    /// A connection, byte by byte.
    pub(super) fn open(&self) -> DuplexStream {
        let (theirs, ours) = duplex(BUFFER);
        self.0.send((Box::new(theirs), ([192, 0, 2, 7], 40000).into())).expect("the agent runs");
        ours
    }

    /// A connection for calls, and what its client writes.
    pub(super) async fn connect(&self) -> (Channel, Written) {
        let written = Written::default();
        let (door, copy) = (self.clone(), written.clone());
        let dial = service_fn(move |_| {
            let stream = Recorder { stream: door.open(), written: copy.clone() };
            async move { io::Result::Ok(TokioIo::new(stream)) }
        });
        let endpoint = Endpoint::from_static("http://node-1");
        (endpoint.connect_with_connector(dial).await.unwrap(), written)
    }
}

/// Bytes that a client has written.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// A stream that keeps a copy of what is written.
struct Recorder {
    stream: DuplexStream,
    written: Written,
}

impl AsyncRead for Recorder {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = done {
            self.written.0.lock().unwrap().extend(&bytes[..count]);
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
