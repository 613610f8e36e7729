//! How an agent is reached: over TCP with mutual TLS, or as a test wants it.

use std::{future::Future, io};

use usher_common::stream::{self, BoxedStream};

/// Opens streams to agents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dial {
    streams: stream::Dial,
    /// Whether both sides prove over it who they are.
    pub(super) tls: bool,
}

impl Dial {
    /// TCP with mutual TLS over it, as every agent on a machine wants it.
    pub fn tcp() -> Self {
        Self { streams: stream::Dial::tcp(), tls: true }
    }

    /// Mutual TLS over whatever `open` gives.
    pub fn over<F>(open: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<BoxedStream>> + Send + 'static,
    {
        Self { streams: stream::Dial::over(open), tls: true }
    }

    /// The same without TLS, and without any of its files: for an agent in the same process, which knows its caller.
    #[must_use]
    pub fn without_tls(self) -> Self {
        Self { tls: false, ..self }
    }

    /// To the first of several addresses that answers.
    pub(super) async fn open_first(&self, addresses: &[String]) -> io::Result<BoxedStream> {
        stream::first_of(addresses.iter().map(|address| self.open(address)).collect()).await
    }

    pub(crate) async fn open(&self, address: &str) -> io::Result<BoxedStream> {
        self.streams.open(address.to_owned()).await
    }
}
