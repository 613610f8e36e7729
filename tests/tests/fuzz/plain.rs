//! An agent over streams in memory, without TLS: what is fuzzed lies behind the handshake, which is rustls'.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tonic::transport::{Channel, Endpoint};
use usher_agent::caller;
use usher_testkit::rig::{agent::Rig, streams::StreamDoor};

/// More than the largest input.
const BUFFER: usize = 1 << 20;

/// Where all callers come from.
const FROM: ([u8; 4], u16) = ([192, 0, 2, 7], 40000);

/// Where callers come in.
pub(super) struct Plain(StreamDoor);

/// Starts the rig's agent for a caller who is an operator.
pub(super) async fn start(rig: &mut Rig) -> Plain {
    let (callers, door) = StreamDoor::new(Some(caller::Caller::named(["CN=alice"])), BUFFER);
    rig.start_with(|edges| edges.door = door).await;
    Plain(callers)
}

impl Plain {
    /// A connection, byte by byte.
    pub(super) fn open(&self) -> DuplexStream {
        self.0.dial(FROM.into()).expect("the agent runs")
    }

    /// A connection for calls, and what its client writes.
    pub(super) async fn connect(&self) -> (Channel, Written) {
        let written = Written::default();
        let copy = written.clone();
        let record = move |stream| Recorder { stream, written: copy.clone() };
        let endpoint = Endpoint::from_static("http://node-1");
        (self.0.connect_through(endpoint, FROM.into(), record).await.unwrap(), written)
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
