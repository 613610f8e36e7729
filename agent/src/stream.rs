//! Byte streams of any kind: what the agent talks over need not be a socket.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connected byte stream: TCP in production, `tokio::io::duplex` in a test that pauses time.
pub type BoxedStream = Box<dyn ByteStream>;

/// What a [`BoxedStream`] can do. Every type that can do it implements this.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}
